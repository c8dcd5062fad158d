"""Bars below each other."""

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import HexColor

from explain.reports.pages.typesetting import GREY, INK, WIDTH
from weir.dossier.blocks import Bar, Bars, Tone, shown
from weir.dossier.plots import text

_ROW = 13.0
_LABEL = 150.0
_NOTE = 130.0
_LONGEST = 34
"""Characters of a label: what has room."""
_COLOURS: dict[Tone, str] = {
    "": "#7d99a8",
    "good": "#2e6b3a",
    "unsure": "#9a6a00",
    "bad": "#a32121",
}


def bars_drawing(bars: Bars) -> Drawing:
    """A label, its bar and what stands behind it in each row."""
    drawing = Drawing(WIDTH, _ROW * len(bars.bars) + 4)
    most = max(bar.value for bar in bars.bars) or 1.0
    for row, bar in enumerate(reversed(bars.bars)):
        _draw(drawing, bar, _ROW * row + 4, bar.value / most)
    return drawing


def _draw(drawing: Drawing, bar: Bar, y: float, share: float) -> None:
    length = share * (WIDTH - _LABEL - _NOTE)
    text(drawing, _LABEL - 10, y, _plain(bar.label), INK, "end")
    colour = HexColor(_COLOURS[bar.tone])
    drawing.add(Rect(_LABEL, y - 1.5, length, _ROW - 4, fillColor=colour, strokeColor=None))
    text(drawing, _LABEL + length + 5, y, bar.note, GREY, "start")


def _plain(label: str) -> str:
    """What the font has, which is that of every PDF reader; escapes in place of the rest."""
    return shown(label, _LONGEST).encode("cp1252", "backslashreplace").decode("cp1252")
