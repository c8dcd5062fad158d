"""Sheet and letter in HTML: one file, without scripts, and nothing is loaded from elsewhere."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from explain.reports.analyst_sheet import Bar, Fact, Sheet
from explain.reports.customer_letter import CustomerLetter

RAISES, LOWERS, LINE, ERROR = "#a8433f", "#3d6f8f", "#8d9aa1", "#1c2429"
"""Colours of bars to the right and the left of zero, of zero, and of the standard error."""

_WIDTH, _HEIGHT = 200, 10


def html_of(letter: CustomerLetter | None, sheet: Sheet | None) -> str:
    """One document with a letter, a sheet, or both, each on pages of its own."""
    articles = []
    if letter is not None:
        articles.append(_letter(letter))
    if sheet is not None:
        articles.append(_sheet(sheet))
    first = letter or sheet
    language = "en" if first is None else first.language
    title = letter.subject if letter is not None else sheet.words["title"] if sheet else ""
    return document(title, "\n".join(articles), language)


def document(title: str, body: str, language: str = "en", style: str = "") -> str:
    """A file with the style of all our pages.

    Args:
        title: plain text.
        body: HTML of one or more articles.
        style: CSS of one's own.
    """
    shared = files("explain.reports.pages").joinpath("page.css").read_text(encoding="utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>\n{shared}{style}</style>\n</head>\n<body>\n"
        f"{body}\n</body>\n</html>\n"
    )


def _letter(letter: CustomerLetter) -> str:
    name, *address = letter.sender
    sender = "<br>".join([f"<strong>{escape(name)}</strong>", *map(escape, address)])
    reasons = "".join(f"<li>{escape(each)}</li>" for each in letter.reasons)
    reach = "<br>".join(f"{escape(label)}: {escape(text)}" for label, text in letter.reach)
    return "\n".join(
        [
            '<article class="letter">',
            f'<p class="sender">{sender}</p>',
            f'<p class="written">{escape(letter.written)}</p>',
            f'<p class="reference">{escape(letter.reference_label)}: '
            f"{escape(letter.reference)}</p>",
            f'<p class="subject">{escape(letter.subject)}</p>',
            f"<p>{escape(letter.salutation)}</p>",
            f"<p>{escape(letter.opening)} {escape(letter.before_reasons)}</p>",
            f"<ul>{reasons}</ul>" if reasons else "",
            f"<p>{escape(letter.automatic)}</p>",
            f"<p>{escape(letter.contact)}{'<br>' + reach if reach else ''}</p>",
            f"<p>{escape(letter.right)}</p>",
            f'<p class="closing">{escape(letter.closing)}</p>',
            f"<p>{escape(name)}</p>",
            "</article>",
        ]
    )


def _sheet(sheet: Sheet) -> str:
    words = sheet.words
    state, kind = (
        (words["confident"], "confident")
        if sheet.confident
        else (f"{words['unsure']}: {words['unsure_note']}", "unsure")
    )
    reasons = "".join(
        f'<tr><td class="number">{i}.</td><td>{escape(each.text)}</td>'
        f'<td class="code">{escape(each.code)}</td>'
        f'<td class="number">{escape(each.contribution)}</td></tr>'
        for i, each in enumerate(sheet.reasons, 1)
    )
    values = "".join(
        f'<tr><td>{escape(each.feature)}</td><td class="number">{escape(each.value)}</td>'
        f'<td class="number">{escape(each.typical)}</td><td>{escape(each.unit)}</td>'
        f"<td>{escape(each.window)}</td></tr>"
        for each in sheet.values
    )
    heads = (
        f"<tr><th>{words['feature']}</th><th class='number'>{words['value']}</th>"
        f"<th class='number'>{words['typical']}</th><th>{words['unit']}</th>"
        f"<th>{words['window']}</th></tr>"
    )
    bars = "".join(
        f'<tr><td>{escape(bar.group)}</td><td class="bar">{_svg(bar)}</td>'
        f'<td class="number">{escape(bar.text)}</td>'
        f'<td class="number">{escape(bar.error)}</td></tr>'
        for bar in sheet.bars
    )
    return "\n".join(
        [
            '<article class="sheet">',
            f"<h1>{words['title']}</h1>",
            f'<p class="internal">{words["internal"]}</p>',
            f'<p class="decision {sheet.outcome}">{sheet.decision}'
            f'<span class="state {kind}">{state}</span></p>',
            _section(words["event"], _facts(sheet.event)),
            _section(words["answers"], _facts(sheet.answers)),
            _section(words["reasons"], f"<table>{reasons}</table>"),
            _section(words["attributions"], f"<table>{bars}</table>", words["attributions_note"]),
            _section(words["values"], f"<table>{heads}{values}</table>"),
            _section(words["honesty"], _facts(sheet.honesty)),
            _section(words["versions"], _facts(sheet.versions)),
            "</article>",
        ]
    )


def _section(title: str, content: str, note: str = "") -> str:
    small = f" <small>{note}</small>" if note else ""
    return f"<h2>{title}{small}</h2>\n{content}"


def _facts(facts: Sequence[Fact]) -> str:
    rows = "".join(f"<tr><th>{f.name}</th><td>{escape(f.text)}</td></tr>" for f in facts)
    return f'<table class="facts">{rows}</table>'


def _svg(bar: Bar) -> str:
    middle, half = _WIDTH / 2, _WIDTH / 2 - 1
    end, spread = middle + bar.share * half, bar.spread * half
    left, colour = (middle, RAISES) if bar.share >= 0 else (end, LOWERS)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect x="{left:.2f}" y="1" width="{abs(end - middle):.2f}" height="8" fill="{colour}"/>'
        f'<path d="M{end - spread:.2f} 5H{end + spread:.2f}" stroke="{ERROR}" stroke-width="1"/>'
        f'<path d="M{middle} 0V{_HEIGHT}" stroke="{LINE}" stroke-width="0.8"/></svg>'
    )
