"""What a page is set of: paragraphs in the institution's fonts, sections, tables and bars."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Line, Rect
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import CondPageBreak, Paragraph, Spacer, Table, TableStyle

from explain.errors import ExplainError
from explain.reports.analyst_sheet import Bar, Fact
from explain.reports.customer_letter_settings import CustomerLetterSettings
from explain.reports.pages.html import ERROR, LINE, LOWERS, RAISES

LEFT, _RIGHT, TOP, BOTTOM = 25 * mm, 20 * mm, 20 * mm, 18 * mm
"""Margins in points."""

WIDTH = A4[0] - LEFT - _RIGHT
"""Of the text, in points."""

INK, GREY, BLUE, _RULE = "#1c2429", "#6b7a82", "#17465c", "#b7c3c9"
_SHOW = "backslashreplace"
_LEAST_SECTION = 38 * mm
"""Of a section on the page where it begins."""
BAR = (68 * mm, 3.2 * mm)
"""Width and height of one, in points."""


class Styles:
    """Paragraphs in the fonts of the settings."""

    def __init__(self, settings: CustomerLetterSettings) -> None:
        self.font, self.bold = "Helvetica", "Helvetica-Bold"
        self._has: Callable[[str], bool] = _is_western
        if settings.font is not None and settings.font_bold is not None:
            self.font, self.bold = "letters", "letters-bold"
            faces = []
            for name, path in ((self.font, settings.font), (self.bold, settings.font_bold)):
                try:
                    font = TTFont(name, str(path))
                except TTFError as error:
                    raise ExplainError(f"letters.font: {path}: {error}") from error
                pdfmetrics.registerFont(font)
                faces.append(font.face.charToGlyph)
            self._has = lambda each: all(ord(each) in face for face in faces)

    def fitting(self, text: str) -> str:
        """A text with what the font lacks as ``\\uXXXX``: for what anybody may have written."""
        return "".join(
            each if each <= "~" or self._has(each) else each.encode("ascii", _SHOW).decode()
            for each in text
        )

    def say(
        self,
        text: str,
        size: float = 9,
        colour: str = INK,
        *,
        bold: bool = False,
        right: bool = False,
        after: float = 0,
        before: float = 0,
    ) -> Paragraph:
        """A paragraph of plain text."""
        text = text.replace("\u202f", "\u00a0")
        if missing := sorted({each for each in text if each > "~" and not self._has(each)}):
            raise ExplainError(
                f"the font has no {missing[0]!r}, as in {text[:40]!r}: name TrueType files that "
                "have it as letters.font and letters.font_bold"
            )
        style = ParagraphStyle(
            "text",
            fontName=self.bold if bold else self.font,
            fontSize=size,
            leading=size * 1.4,
            textColor=HexColor(colour),
            spaceAfter=after,
            spaceBefore=before,
            splitLongWords=1,
            **({"alignment": TA_RIGHT} if right else {}),
        )
        return Paragraph(escape(text), style)


def _is_western(character: str) -> bool:
    """Whether PDF's own Helvetica has it: those of Windows-1252."""
    try:
        character.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def section(title: str, content: Table, styles: Styles, note: str = "") -> Iterator[Any]:
    """A heading with a rule under it, and what stands below; not at the very end of a page."""
    yield CondPageBreak(_LEAST_SECTION)
    heading = [[styles.say(title, 10, BLUE, bold=True), styles.say(note, 8.5, GREY, right=True)]]
    part = 0.5 if note else 0.95
    ruled = Table(heading, colWidths=[WIDTH * part, WIDTH * (1 - part)])
    ruled.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.6, HexColor(_RULE)),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 10),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
                ("VALIGN", (0, 0), (-1, -1), "BOTTOM"),
            ]
        )
    )
    yield ruled
    yield Spacer(0, 3)
    yield content


def fact_table(facts: Sequence[Fact], styles: Styles) -> Table:
    """A row for each, its name on the left."""
    rows = [[styles.say(fact.name, 9, GREY), styles.say(fact.text)] for fact in facts]
    return plain_table(rows, [48 * mm, WIDTH - 48 * mm])


def plain_table(rows: list[list[Any]], widths: list[float], heads: int = 0) -> Table:
    """Rows under each other; the first `heads` stand on every page."""
    # reportlab refuses a table without rows.
    table = Table(rows or [[""] * len(widths)], colWidths=widths, repeatRows=heads)
    table.setStyle(
        TableStyle(
            [
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 8),
                ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 0.8),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 0.8),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        )
    )
    return table


def drawn(bar: Bar) -> Drawing:
    """A bar to the left or right of the middle, of size `BAR`, with its error across its end."""
    width, height = BAR
    middle, half = width / 2, width / 2 - 1
    end, spread = middle + bar.share * half, bar.spread * half
    drawing = Drawing(width, height + 3)
    drawing.add(
        Rect(
            min(middle, end),
            0.4,
            abs(end - middle),
            height - 0.8,
            strokeWidth=0,
            strokeColor=None,
            fillColor=HexColor(RAISES if bar.share >= 0 else LOWERS),
        )
    )
    across = height / 2
    drawing.add(
        Line(
            end - spread, across, end + spread, across, strokeColor=HexColor(ERROR), strokeWidth=0.6
        )
    )
    drawing.add(Line(middle, -1, middle, height + 1, strokeColor=HexColor(LINE), strokeWidth=0.5))
    return drawing
