"""Lines over axes, by reportlab."""

from reportlab.graphics.charts.lineplots import LinePlot
from reportlab.graphics.shapes import Drawing, Line, String
from reportlab.lib.colors import HexColor

from explain.reports.pages.typesetting import GREY, INK, WIDTH
from weir.dossier.blocks import Plot, PlotLine

_HEIGHT = 168.0
_LEFT, _BOTTOM, _TOP, _RIGHT = 34.0, 30.0, 24.0, 18.0
"""Points around the plot: labels stand there."""
FONT = 7.5
_STROKES: dict[str, tuple[str, float, tuple[int, ...] | None]] = {
    "better": ("#2e6b3a", 1.3, None),
    "no worse": ("#3d6f8f", 1.3, None),
    "worse": ("#a32121", 1.3, None),
    "bound": (GREY, 0.8, (4, 3)),
    "former": ("#c3ccd1", 0.9, None),
}
"""Colour, width in points, and dashes, by the role of a line."""
_GRID = "#e3e8eb"


def lines_drawing(plot: Plot) -> Drawing:
    """A plot as wide as the text of a page."""
    drawing = Drawing(WIDTH, _HEIGHT)
    chart = LinePlot()
    chart.x, chart.y = _LEFT, _BOTTOM
    chart.width, chart.height = WIDTH - _LEFT - _RIGHT, _HEIGHT - _BOTTOM - _TOP
    lines = plot.lines
    chart.data = [[tuple(point) for point in _at_least_two(line)] for line in lines]
    for place, line in enumerate(lines):
        colour, width, dashes = _STROKES[line.role]
        chart.lines[place].strokeColor = HexColor(colour)
        chart.lines[place].strokeWidth = width
        if dashes:
            chart.lines[place].strokeDashArray = dashes
    values = [point.y for line in lines for point in line.points]
    chart.yValueAxis.valueMin = min(0.0, *values)
    chart.yValueAxis.valueMax = max(values) * 1.06 or 1.0
    chart.xValueAxis.valueMin = 0
    chart.xValueAxis.valueMax = max(point.x for line in lines for point in line.points) or 1
    for axis, digits in ((chart.xValueAxis, 0), (chart.yValueAxis, 1)):
        axis.maximumTicks = 8
        axis.labels.fontSize = FONT
        axis.labels.fillColor = HexColor(GREY)
        axis.strokeColor = HexColor(GREY)
        axis.strokeWidth = 0.5
        axis.labelTextFormat = lambda value, digits=digits: _label(value, digits)
    chart.yValueAxis.visibleGrid = True
    chart.yValueAxis.gridStrokeColor = HexColor(_GRID)
    chart.yValueAxis.gridStrokeWidth = 0.5
    drawing.add(chart)
    _legend(drawing, lines)
    text(drawing, WIDTH - _RIGHT, 4, plot.x_name, GREY, "end")
    return drawing


def _at_least_two(line: PlotLine) -> tuple[tuple[float, float], ...]:
    """A line of one point is drawn as a dash."""
    first = line.points[0]
    return line.points if len(line.points) > 1 else (first, first)


def _label(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def _legend(drawing: Drawing, lines: tuple[PlotLine, ...]) -> None:
    x, y = _LEFT, _HEIGHT - 10
    for line in lines:
        if not line.label:
            continue
        colour, width, dashes = _STROKES[line.role]
        stroke = Line(x, y + 2.6, x + 16, y + 2.6, strokeColor=HexColor(colour), strokeWidth=width)
        if dashes:
            stroke.strokeDashArray = dashes
        drawing.add(stroke)
        text(drawing, x + 20, y, line.label, INK, "start")
        x += 34 + 3.9 * len(line.label)


def text(drawing: Drawing, x: float, y: float, said: str, colour: str, anchor: str) -> None:
    """A text whose `anchor` (``start``, ``middle`` or ``end``) is at this point."""
    drawing.add(
        String(
            x,
            y,
            said,
            fontSize=FONT,
            fontName="Helvetica",
            fillColor=HexColor(colour),
            textAnchor=anchor,
        )
    )
