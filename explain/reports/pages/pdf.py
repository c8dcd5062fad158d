"""Sheet and letter as PDF, A4. The same content gives the same bytes."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.platypus import BaseDocTemplate, Frame, PageBreak, PageTemplate, Spacer

from explain.reports.analyst_sheet import Sheet
from explain.reports.customer_letter import CustomerLetter
from explain.reports.customer_letter_settings import CustomerLetterSettings
from explain.reports.pages.typesetting import (
    BAR,
    BLUE,
    BOTTOM,
    GREY,
    LEFT,
    TOP,
    WIDTH,
    Styles,
    drawn,
    fact_table,
    plain_table,
    section,
)

OUTCOMES = {"approve": "#2e6b3a", "review": "#8a5a00", "decline": "#a32121"}


def pdf_of(
    letter: CustomerLetter | None, sheet: Sheet | None, settings: CustomerLetterSettings
) -> bytes:
    """One document with a letter, a sheet, or both, each on pages of its own.

    Raises:
        ExplainError: a font can't be used, or has no sign for a character of a text.
    """
    styles = Styles(settings)
    story: list[Any] = []
    if letter is not None:
        story += _letter(letter, styles)
    if letter is not None and sheet is not None:
        story.append(PageBreak())
    if sheet is not None:
        story += _sheet(sheet, styles)
    title = letter.subject if letter is not None else sheet.words["title"] if sheet else ""
    return file_of(story, title, settings.institution)


def file_of(story: list[Any], title: str, author: str, foot: str = "") -> bytes:
    """A document of what reportlab calls flowables.

    Args:
        foot: stands at the bottom of each page, with the page's number; nothing where it is empty.
            In Helvetica: characters of Windows-1252.
    """
    file = BytesIO()
    document = BaseDocTemplate(file, pagesize=A4, title=title, author=author, invariant=1)
    frame = Frame(
        LEFT,
        BOTTOM,
        WIDTH,
        A4[1] - TOP - BOTTOM,
        leftPadding=0,
        rightPadding=0,
        topPadding=0,
        bottomPadding=0,
    )

    def number(canvas: Any, _: Any) -> None:
        if foot:
            canvas.setFont("Helvetica", 7.5)
            canvas.setFillColor(HexColor(GREY))
            canvas.drawString(LEFT, 10 * mm, foot)
            canvas.drawRightString(LEFT + WIDTH, 10 * mm, str(canvas.getPageNumber()))

    document.addPageTemplates(PageTemplate(frames=[frame], onPage=number))
    document.build(story)
    return file.getvalue()


def _letter(letter: CustomerLetter, styles: Styles) -> Iterator[Any]:
    say = styles.say
    name, *address = letter.sender
    yield say(name, 13, BLUE, bold=True)
    for line in address:
        yield say(line, 10, BLUE)
    yield Spacer(0, 26 * mm)
    yield say(letter.written, 10.5, right=True, after=2)
    yield say(f"{letter.reference_label}: {letter.reference}", 8.5, GREY, right=True)
    yield Spacer(0, 12 * mm)
    yield say(letter.subject, 10.5, bold=True, after=16)
    yield say(letter.salutation, 10.5, after=10)
    yield say(f"{letter.opening} {letter.before_reasons}", 10.5, after=8)
    if letter.reasons:
        rows = [[say("•", 10.5), say(each, 10.5)] for each in letter.reasons]
        yield plain_table(rows, [6 * mm, WIDTH - 6 * mm])
        yield Spacer(0, 8)
    yield say(letter.automatic, 10.5, after=10)
    yield say(letter.contact, 10.5, after=0 if letter.reach else 10)
    for i, (label, text) in enumerate(letter.reach, 1):
        yield say(f"{label}: {text}", 10.5, after=10 if i == len(letter.reach) else 0)
    yield say(letter.right, 10.5, after=24)
    yield say(letter.closing, 10.5, after=8)
    yield say(name, 10.5)


def _sheet(sheet: Sheet, styles: Styles) -> Iterator[Any]:
    say, words = styles.say, sheet.words
    yield say(words["title"], 15, bold=True)
    yield say(words["internal"], 8.5, GREY, before=6, after=6)
    unsure = f"{words['unsure']}: {words['unsure_note']}"
    yield plain_table(
        [
            [
                say(sheet.decision, 11.5, OUTCOMES[sheet.outcome], bold=True),
                say(
                    words["confident"] if sheet.confident else unsure,
                    11.5,
                    OUTCOMES["approve" if sheet.confident else "review"],
                ),
            ]
        ],
        [48 * mm, WIDTH - 48 * mm],
    )
    for title, facts in ((words["event"], sheet.event), (words["answers"], sheet.answers)):
        yield from section(title, fact_table(facts, styles), styles)
    reasons = [
        [
            say(f"{i}."),
            say(each.text),
            say(each.code, 8.5, GREY, right=True),
            say(each.contribution, right=True),
        ]
        for i, each in enumerate(sheet.reasons, 1)
    ]
    widths = [6 * mm, WIDTH - 56 * mm, 36 * mm, 14 * mm]
    yield from section(words["reasons"], plain_table(reasons, widths), styles)
    bars = [
        [
            say(bar.group),
            drawn(bar),
            say(bar.text, right=True),
            say(bar.error, 8.5, GREY, right=True),
        ]
        for bar in sheet.bars
    ]
    widths = [WIDTH - BAR[0] - 36 * mm, BAR[0] + 2 * mm, 16 * mm, 18 * mm]
    note = words["attributions_note"]
    yield from section(words["attributions"], plain_table(bars, widths), styles, note)
    values = [
        [
            say(words["feature"], 8.5, GREY),
            say(words["value"], 8.5, GREY, right=True),
            say(words["typical"], 8.5, GREY, right=True),
            say(words["unit"], 8.5, GREY),
            say(words["window"], 8.5, GREY),
        ],
        *(
            [
                say(each.feature),
                say(each.value, right=True),
                say(each.typical, right=True),
                say(each.unit),
                say(each.window, 8.5, GREY),
            ]
            for each in sheet.values
        ),
    ]
    widths = [48 * mm, 22 * mm, 26 * mm, 16 * mm, WIDTH - 112 * mm]
    yield from section(words["values"], plain_table(values, widths, heads=1), styles)
    for title, facts in ((words["honesty"], sheet.honesty), (words["versions"], sheet.versions)):
        yield from section(title, fact_table(facts, styles), styles)
