"""Pairs of bars below each other."""

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import HexColor

from explain.reports.pages.typesetting import GREY, INK, WIDTH
from weir.dossier.bars import LABEL, plain_label
from weir.dossier.blocks import Pair, Pairs
from weir.dossier.plots import text

_ROW, _THICK = 13.0, 4.6
_NOTE = 110.0
_LEGEND = 16.0
_COLOURS = "#b9c6cd", "#2f6f94"


def pairs_drawing(pairs: Pairs) -> Drawing:
    """A legend; then in each row a label, its two bars and what stands behind them."""
    height = _ROW * len(pairs.pairs) + _LEGEND
    drawing = Drawing(WIDTH, height)
    x = LABEL
    for name, colour in zip(pairs.names, _COLOURS, strict=True):
        drawing.add(_bar(x, height - 10, 14, colour))
        text(drawing, x + 18, height - 10.5, name, INK, "start")
        x += 34 + 3.9 * len(name)
    most = max((max(each.first, each.second) for each in pairs.pairs), default=0) or 1.0
    for row, pair in enumerate(reversed(pairs.pairs)):
        _draw(drawing, pair, _ROW * row + 1, (WIDTH - LABEL - _NOTE) / most)
    return drawing


def _draw(drawing: Drawing, pair: Pair, y: float, scale: float) -> None:
    text(drawing, LABEL - 8, y + 2.6, plain_label(pair.label), INK, "end")
    drawing.add(_bar(LABEL, y + _THICK + 0.6, pair.first * scale, _COLOURS[0]))
    drawing.add(_bar(LABEL, y, pair.second * scale, _COLOURS[1]))
    end = LABEL + max(pair.first, pair.second) * scale
    text(drawing, end + 5, y + 2.6, pair.note, GREY, "start")


def _bar(x: float, y: float, length: float, colour: str) -> Rect:
    return Rect(x, y, length, _THICK, fillColor=HexColor(colour), strokeColor=None)
