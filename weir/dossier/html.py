"""A dossier in HTML: one file, without scripts, and nothing is loaded from elsewhere."""

from html import escape
from importlib.resources import files

from explain.reports.pages.html import document
from weir.dossier.blocks import (
    Bars,
    Block,
    Cells,
    Drawn,
    Facts,
    Line,
    Page,
    Pairs,
    Plot,
    Section,
    Table,
    shown,
    shown_cell,
)

_TONES = {"good": "approve", "unsure": "review", "bad": "decline"}
"""The classes of page.css that have these colours."""


def html_of(page: Page) -> str:
    """A document to print, or to read in a browser."""
    title = _text(page.title)
    status = f'<p class="decision {_TONES.get(page.status.tone, "")}">{_text(page.status.text)}</p>'
    style = files("weir.dossier").joinpath("dossier.css").read_text(encoding="utf-8")
    article = "\n".join(
        [
            '<article class="dossier">',
            f"<h1>{title}</h1>",
            f'<p class="internal">{_text(page.under)}</p>',
            status,
            *map(_section, page.sections),
            "</article>",
        ]
    )
    return document(shown(page.title), article, style=style)


def _section(section: Section) -> str:
    note = f" <small>{_text(section.note)}</small>" if section.note else ""
    return f"<h2>{_text(section.title)}{note}</h2>\n" + "\n".join(map(_block, section.blocks))


def _block(block: Block) -> str:
    match block:
        case Line():
            kind = "internal" if block.small else "line"
            return f'<p class="{kind}">{_text(block.text)}</p>'
        case Facts():
            rows = "".join(
                f"<tr><th>{_text(fact.name)}</th><td>{_text(fact.text)}</td></tr>"
                for fact in block.facts
            )
            return f'<table class="facts">{rows}</table>'
        case Table():
            return _table(block)
        case Plot() | Cells() | Bars() | Pairs():
            return _plot(block)


def _table(table: Table) -> str:
    columns = "".join(f'<col style="width:{width:.1%}">' for width in table.widths)
    heads = "".join(
        f"<th{_number(place, table)}>{_text(head)}</th>" for place, head in enumerate(table.heads)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td class="{_classes(place, table, cell.tone)}">{escape(shown_cell(cell))}</td>'
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in table.rows
    )
    head = f"<thead><tr>{heads}</tr></thead>" if any(table.heads) else ""
    kind = ' class="short"' if table.is_short else ""
    return f"<table{kind}><colgroup>{columns}</colgroup>{head}<tbody>{rows}</tbody></table>"


def _number(place: int, table: Table) -> str:
    return ' class="number"' if place in table.numbers else ""


def _classes(place: int, table: Table, tone: str) -> str:
    number = "number" if place in table.numbers else ""
    return f"{number} {_TONES.get(tone, '')}".strip()


def _plot(plot: Drawn) -> str:
    try:
        from weir.dossier.drawing import image_of
    except ModuleNotFoundError as error:  # reportlab is an extra, and all else can be read without
        return f'<p class="internal">{_text(NO_PLOT.format(error.name))}</p>'
    about = escape(shown(plot.about), quote=True)
    return (
        f"<figure><figcaption>{_text(plot.y_name)}</figcaption>"
        f'<img src="{image_of(plot)}" alt="{about}"></figure>'
    )


NO_PLOT = "There is no plot here: it needs {}, pip install 'weir[pdf]'."


def _text(text: str) -> str:
    return escape(shown(text))
