"""Scores of one model beside those of another, as a histogram in two dimensions."""

from math import log, log1p

from reportlab.graphics.shapes import Drawing, Line, Rect
from reportlab.lib.colors import HexColor, linearlyInterpolatedColor

from explain.reports.pages.typesetting import GREY, WIDTH
from weir.dossier.blocks import Cells
from weir.dossier.plots import text

_SIDE = 190.0
_LEFT, _BOTTOM, _TOP = 44.0, 30.0, 8.0
_FEW, _MANY = HexColor("#d9e6ee"), HexColor("#123a52")
_TICKS = (1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
_LEGEND = 90.0
_SHADES = 30


def cells_drawing(cells: Cells) -> Drawing:
    """A square of the bins that hold anything, the darker the more events; scores as logits."""
    used = [place for pair in cells.counts for place in pair]
    first, last = min(used), max(used) + 1
    low, high = cells.edges[first], cells.edges[last]
    most = max(cells.counts.values())
    drawing = Drawing(WIDTH, _BOTTOM + _SIDE + _TOP)

    def at(logit: float) -> float:
        return _SIDE * (logit - low) / (high - low)

    for (i, j), count in sorted(cells.counts.items()):
        x, y = at(cells.edges[i]), at(cells.edges[j])
        width, height = at(cells.edges[i + 1]) - x, at(cells.edges[j + 1]) - y
        colour = _shade(count, most)
        drawing.add(Rect(_LEFT + x, _BOTTOM + y, width, height, fillColor=colour, strokeColor=None))
    grey = HexColor(GREY)
    drawing.add(
        Line(
            *(_LEFT, _BOTTOM, _LEFT + _SIDE, _BOTTOM + _SIDE),
            strokeColor=grey,
            strokeWidth=0.6,
            strokeDashArray=(4, 3),
        )
    )
    drawing.add(
        Rect(_LEFT, _BOTTOM, _SIDE, _SIDE, fillColor=None, strokeColor=grey, strokeWidth=0.5)
    )
    for tick in _TICKS:
        place = at(log(tick / (1 - tick)))
        if not 0 <= place <= _SIDE:
            continue
        x, y = _LEFT + place, _BOTTOM + place
        drawing.add(Line(x, _BOTTOM - 3, x, _BOTTOM, strokeColor=grey, strokeWidth=0.5))
        drawing.add(Line(_LEFT - 3, y, _LEFT, y, strokeColor=grey, strokeWidth=0.5))
        text(drawing, x, _BOTTOM - 11, _label(tick), GREY, "middle")
        text(drawing, _LEFT - 5, y - 2.6, _label(tick), GREY, "end")
    text(drawing, _LEFT + _SIDE, 6, cells.x_name, GREY, "end")
    _legend(drawing, most)
    return drawing


def _label(tick: float) -> str:
    """Short, since ticks may be close to each other: .001."""
    return f"{tick:.4f}".strip("0")


def _shade(count: float, most: int) -> object:
    return linearlyInterpolatedColor(_FEW, _MANY, 0.0, log1p(most - 1) or 1.0, log1p(count - 1))


def _legend(drawing: Drawing, most: int) -> None:
    x, y = _LEFT + _SIDE + 24, _BOTTOM + 14
    for step in range(_SHADES):
        count = most ** (step / (_SHADES - 1))
        left = x + _LEGEND * step / _SHADES
        shade = _shade(count, most)
        drawing.add(Rect(left, y, _LEGEND / _SHADES + 0.3, 8, fillColor=shade, strokeColor=None))
    text(drawing, x, y - 9, "1", GREY, "start")
    text(drawing, x + _LEGEND, y - 9, f"{most:,} events", GREY, "end")
    text(drawing, x, y + 26, "dashed: both say the same", GREY, "start")
