"""Sheet and letter as PDF, A4. The same content gives the same bytes."""

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
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
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Frame,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from explain.errors import ExplainError
from explain.reports.analyst_sheet import Bar, Fact, Sheet
from explain.reports.customer_letter import CustomerLetter
from explain.reports.customer_letter_settings import CustomerLetterSettings
from explain.reports.pages.html import ERROR, LINE, LOWERS, RAISES

_LEFT, _RIGHT, _TOP, _BOTTOM = 25 * mm, 20 * mm, 20 * mm, 18 * mm
_WIDTH = A4[0] - _LEFT - _RIGHT
_INK, _GREY, _BLUE, _RULE = "#1c2429", "#6b7a82", "#17465c", "#b7c3c9"
_OUTCOMES = {"approve": "#2e6b3a", "review": "#8a5a00", "decline": "#a32121"}
_LEAST_SECTION = 38 * mm
"""Of a section on the page where it begins."""
_BAR = (68 * mm, 3.2 * mm)


def pdf_of(
    letter: CustomerLetter | None, sheet: Sheet | None, settings: CustomerLetterSettings
) -> bytes:
    """One document with a letter, a sheet, or both, each on pages of its own.

    Raises:
        ExplainError: a font can't be used, or has no sign for a character of a text.
    """
    styles = _Styles(settings)
    story: list[Any] = []
    if letter is not None:
        story += _letter(letter, styles)
    if letter is not None and sheet is not None:
        story.append(PageBreak())
    if sheet is not None:
        story += _sheet(sheet, styles)
    title = letter.subject if letter is not None else sheet.words["title"] if sheet else ""
    file = BytesIO()
    document = BaseDocTemplate(
        file, pagesize=A4, title=title, author=settings.institution, invariant=1
    )
    frame = Frame(
        _LEFT,
        _BOTTOM,
        _WIDTH,
        A4[1] - _TOP - _BOTTOM,
        leftPadding=0,
        rightPadding=0,
        topPadding=0,
        bottomPadding=0,
    )
    document.addPageTemplates(PageTemplate(frames=[frame]))
    document.build(story)
    return file.getvalue()


class _Styles:
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

    def say(
        self,
        text: str,
        size: float = 9,
        colour: str = _INK,
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


def _letter(letter: CustomerLetter, styles: _Styles) -> Iterator[Any]:
    say = styles.say
    name, *address = letter.sender
    yield say(name, 13, _BLUE, bold=True)
    for line in address:
        yield say(line, 10, _BLUE)
    yield Spacer(0, 26 * mm)
    yield say(letter.written, 10.5, right=True, after=2)
    yield say(f"{letter.reference_label}: {letter.reference}", 8.5, _GREY, right=True)
    yield Spacer(0, 12 * mm)
    yield say(letter.subject, 10.5, bold=True, after=16)
    yield say(letter.salutation, 10.5, after=10)
    yield say(f"{letter.opening} {letter.before_reasons}", 10.5, after=8)
    if letter.reasons:
        rows = [[say("•", 10.5), say(each, 10.5)] for each in letter.reasons]
        yield _table(rows, [6 * mm, _WIDTH - 6 * mm])
        yield Spacer(0, 8)
    yield say(letter.automatic, 10.5, after=10)
    yield say(letter.contact, 10.5, after=0 if letter.reach else 10)
    for i, (label, text) in enumerate(letter.reach, 1):
        yield say(f"{label}: {text}", 10.5, after=10 if i == len(letter.reach) else 0)
    yield say(letter.right, 10.5, after=24)
    yield say(letter.closing, 10.5, after=8)
    yield say(name, 10.5)


def _sheet(sheet: Sheet, styles: _Styles) -> Iterator[Any]:
    say, words = styles.say, sheet.words
    yield say(words["title"], 15, bold=True)
    yield say(words["internal"], 8.5, _GREY, before=6, after=6)
    unsure = f"{words['unsure']}: {words['unsure_note']}"
    yield _table(
        [
            [
                say(sheet.decision, 11.5, _OUTCOMES[sheet.outcome], bold=True),
                say(
                    words["confident"] if sheet.confident else unsure,
                    11.5,
                    _OUTCOMES["approve" if sheet.confident else "review"],
                ),
            ]
        ],
        [48 * mm, _WIDTH - 48 * mm],
    )
    for title, facts in ((words["event"], sheet.event), (words["answers"], sheet.answers)):
        yield from _section(title, _facts(facts, styles), styles)
    reasons = [
        [
            say(f"{i}."),
            say(each.text),
            say(each.code, 8.5, _GREY, right=True),
            say(each.contribution, right=True),
        ]
        for i, each in enumerate(sheet.reasons, 1)
    ]
    widths = [6 * mm, _WIDTH - 56 * mm, 36 * mm, 14 * mm]
    yield from _section(words["reasons"], _table(reasons, widths), styles)
    bars = [
        [
            say(bar.group),
            _drawn(bar),
            say(bar.text, right=True),
            say(bar.error, 8.5, _GREY, right=True),
        ]
        for bar in sheet.bars
    ]
    widths = [_WIDTH - _BAR[0] - 36 * mm, _BAR[0] + 2 * mm, 16 * mm, 18 * mm]
    note = words["attributions_note"]
    yield from _section(words["attributions"], _table(bars, widths), styles, note)
    values = [
        [
            say(words["feature"], 8.5, _GREY),
            say(words["value"], 8.5, _GREY, right=True),
            say(words["typical"], 8.5, _GREY, right=True),
            say(words["unit"], 8.5, _GREY),
            say(words["window"], 8.5, _GREY),
        ],
        *(
            [
                say(each.feature),
                say(each.value, right=True),
                say(each.typical, right=True),
                say(each.unit),
                say(each.window, 8.5, _GREY),
            ]
            for each in sheet.values
        ),
    ]
    widths = [48 * mm, 22 * mm, 26 * mm, 16 * mm, _WIDTH - 112 * mm]
    yield from _section(words["values"], _table(values, widths, heads=1), styles)
    for title, facts in ((words["honesty"], sheet.honesty), (words["versions"], sheet.versions)):
        yield from _section(title, _facts(facts, styles), styles)


def _section(title: str, content: Table, styles: _Styles, note: str = "") -> Iterator[Any]:
    yield CondPageBreak(_LEAST_SECTION)
    heading = [[styles.say(title, 10, _BLUE, bold=True), styles.say(note, 8.5, _GREY, right=True)]]
    part = 0.5 if note else 0.95
    ruled = Table(heading, colWidths=[_WIDTH * part, _WIDTH * (1 - part)])
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


def _facts(facts: Sequence[Fact], styles: _Styles) -> Table:
    rows = [[styles.say(fact.name, 9, _GREY), styles.say(fact.text)] for fact in facts]
    return _table(rows, [48 * mm, _WIDTH - 48 * mm])


def _table(rows: list[list[Any]], widths: list[float], heads: int = 0) -> Table:
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


def _drawn(bar: Bar) -> Drawing:
    width, height = _BAR
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
