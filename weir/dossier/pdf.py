"""A dossier as PDF, A4. The same content gives the same bytes."""

from collections.abc import Iterator
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.platypus import CondPageBreak, KeepTogether, Spacer, TableStyle

from explain.reports.analyst_sheet import Fact
from explain.reports.customer_letter_settings import CustomerLetterSettings
from explain.reports.pages.pdf import OUTCOMES, file_of
from explain.reports.pages.typesetting import (
    GREY,
    INK,
    WIDTH,
    Styles,
    fact_table,
    plain_table,
    section,
)
from weir.dossier.blocks import (
    Bars,
    Block,
    Cells,
    Facts,
    Line,
    Page,
    Pairs,
    Plot,
    Table,
    shown,
    shown_cell,
)
from weir.dossier.drawing import drawing_of

_TONES = {"good": OUTCOMES["approve"], "unsure": OUTCOMES["review"], "bad": OUTCOMES["decline"]}
_HEAD_RULE = "#dfe5e8"


def pdf_of(page: Page, settings: CustomerLetterSettings) -> bytes:
    """A document of as many pages as it takes.

    Args:
        settings: say which fonts; what they lack is shown as ``\\uXXXX``.

    Raises:
        ExplainError: a font can't be used.
    """
    styles = Styles(settings)

    def fit(text: str) -> str:
        return styles.fitting(shown(text))

    story: list[Any] = [
        styles.say(fit(page.title), 15, bold=True, after=4),
        styles.say(fit(page.under), 8.5, GREY, after=6),
        styles.say(fit(page.status.text), 11.5, _TONES.get(page.status.tone, INK), bold=True),
    ]
    for each in page.sections:
        heading = [*section(fit(each.title), Spacer(0, 0), styles, fit(each.note))]
        for block in each.blocks:
            story += _kept(block, [*heading, *_block(block, styles)])
            heading = []
    title = fit(page.title)
    return file_of(story, title, "Weir", foot=title)


def _kept(block: Block, parts: list[Any]) -> list[Any]:
    """A block and its heading on one page, if it need not be broken."""
    if isinstance(block, Table) and not block.is_short:
        return parts
    return [KeepTogether([each for each in parts if not isinstance(each, CondPageBreak)])]


def _block(block: Block, styles: Styles) -> Iterator[Any]:
    def fit(text: str) -> str:
        return styles.fitting(shown(text))

    match block:
        case Line():
            size, colour = (8.5, GREY) if block.small else (9, INK)
            yield styles.say(fit(block.text), size, colour)
        case Facts():
            yield fact_table([Fact(fact.name, fit(fact.text)) for fact in block.facts], styles)
        case Table():
            yield _table(block, styles)
        case Plot() | Cells() | Bars() | Pairs():
            yield styles.say(fit(block.y_name), 7.5, GREY)
            yield drawing_of(block)
    yield Spacer(0, 6)


def _table(table: Table, styles: Styles) -> Any:
    heads = [
        styles.say(each, 8.5, GREY, right=place in table.numbers)
        for place, each in enumerate(table.heads)
    ]
    rows = [
        [
            styles.say(
                styles.fitting(shown_cell(cell)),
                9,
                _TONES.get(cell.tone, INK),
                bold=bool(cell.tone),
                right=place in table.numbers,
            )
            for place, cell in enumerate(row)
        ]
        for row in table.rows
    ]
    has_heads = any(table.heads)
    widths = [width * WIDTH for width in table.widths]
    made = plain_table([heads, *rows] if has_heads else rows, widths, heads=int(has_heads))
    if has_heads:
        made.setStyle(TableStyle([("LINEBELOW", (0, 0), (-1, 0), 0.4, HexColor(_HEAD_RULE))]))
    return made
