"""What a page shows, drawn once by reportlab: as vectors for PDF and as SVG for HTML."""

from base64 import b64encode

from reportlab.graphics import renderSVG
from reportlab.graphics.shapes import Drawing

from weir.dossier.bars import bars_drawing
from weir.dossier.blocks import Bars, Cells, Drawn, Pairs, Plot
from weir.dossier.cells import cells_drawing
from weir.dossier.pairs import pairs_drawing
from weir.dossier.plots import lines_drawing


def drawing_of(drawn: Drawn) -> Drawing:
    """A drawing as wide as the text of a page."""
    match drawn:
        case Plot():
            return lines_drawing(drawn)
        case Cells():
            return cells_drawing(drawn)
        case Bars():
            return bars_drawing(drawn)
        case Pairs():
            return pairs_drawing(drawn)


def image_of(drawn: Drawn) -> str:
    """A drawing as a data URL of SVG, in which nothing can run or be loaded."""
    svg: str = renderSVG.drawToString(drawing_of(drawn))
    svg = svg.replace("fill: None", "fill: none")  # not all readers pass over the capital
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
