"""Bars below each other."""

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import HexColor

from explain.reports.pages.typesetting import GREY, INK, WIDTH
from weir.dossier.blocks import Bar, Bars, Tone, shown
from weir.dossier.plots import text

_ROW = 13.0
LABEL = 150.0
"""Points on the left, where labels stand."""
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
    length = share * (WIDTH - LABEL - _NOTE)
    text(drawing, LABEL - 10, y, plain_label(bar.label), INK, "end")
    colour = HexColor(_COLOURS[bar.tone])
    drawing.add(Rect(LABEL, y - 1.5, length, _ROW - 4, fillColor=colour, strokeColor=None))
    text(drawing, LABEL + length + 5, y, bar.note, GREY, "start")


def plain_label(label: str) -> str:
    """What the font has, which is that of every PDF reader; escapes in place of the rest."""
    return shown(label, _LONGEST).encode("cp1252", "backslashreplace").decode("cp1252")
