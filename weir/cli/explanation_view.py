"""How explanations look in the terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from explain.record.record import Record
from explain.reports.analyst_sheet import Bar, Fact, Sheet
from explain.writing.reproduce import Reproduction
from streams.base.safe_text import visible
from weir.cli.console import stdout
from weir.cli.dates import moment

_HALF = 20
"""Characters of a bar on each side of zero."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_STYLES = {"approve": "green", "review": "yellow", "decline": "red"}
_RAISES, _LOWERS = "red", "blue"
_SHOWN = 12


def show_sheet(console: Console, sheet: Sheet) -> None:
    """Draw the page of one record."""
    words = sheet.words
    console.rule(Text(_plain(f"{words['title']}: {sheet.event[0].text}")), align="left")
    state = words["confident"] if sheet.confident else words["unsure"]
    console.print(
        Text.assemble(
            (sheet.decision, f"bold {_STYLES[sheet.outcome]}"),
            "  ",
            (state, "green" if sheet.confident else "bold yellow"),
            *(() if sheet.confident else (f"  {words['unsure_note']}",)),
        )
    )
    _section(console, words["event"], _facts(sheet.event))
    _section(console, words["answers"], _facts(sheet.answers))
    _section(console, words["reasons"], _reasons(sheet))
    note = f"{words['attributions']} ({words['attributions_note']})"
    _section(console, note, _bars(sheet.bars))
    _section(console, words["values"], _values(sheet))
    _section(console, words["honesty"], _facts(sheet.honesty))
    _section(console, words["versions"], _facts(sheet.versions))


def bar_of(bar: Bar) -> Text:
    """A bar that goes out from zero in the middle, to the right where it raises the risk."""
    if bar.share >= 0:
        whole, rest = divmod(round(bar.share * _HALF * 8), 8)
        drawn = "█" * whole + (_EIGHTHS[rest] if rest else "")
        return Text(" " * _HALF + "│").append(drawn.ljust(_HALF), _RAISES)
    # From the right there are blocks of a half and of an eighth alone.
    whole, rest = divmod(round(-bar.share * _HALF * 8), 8)
    drawn = ("▐" if rest >= 4 else "▕" if rest else "") + "█" * whole
    return Text().append(drawn.rjust(_HALF), _LOWERS).append("│" + " " * _HALF)


def found_table(records: Sequence[Record]) -> Table:
    """One line per record; as narrow as a terminal of 80 columns."""
    table = Table(
        Column("event", no_wrap=True),
        Column("time", min_width=19),
        Column("decision", min_width=8),
        Column("fraud", justify="right", min_width=6),
        Column("model", min_width=5),
        "reasons",
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1),
    )
    for record in records:
        outcome, probability = record.decision.outcome, record.answers.probability
        table.add_row(
            Text(_plain(str(record.event.id))),
            moment(record.event.time, "s"),
            Text(outcome, _STYLES[outcome]),
            "-" if probability is None else f"{probability:.1%}",
            _model_name(record),
            Text("" if record.explanation.confident else "low confidence: ").append(
                _plain(", ".join(each.code for each in record.reasons))
            ),
        )
    return table


def _model_name(record: Record) -> str:
    """The registry's number of a record's model, or the first digits of its package."""
    version = record.model.version
    return record.model.package[:12] if version is None else str(version)


def say_reproduced(reproduced: Reproduction) -> None:
    """Say whether the record came out the same, and if not, what did not."""
    for each in reproduced.answers:
        recorded, now = (
            "-" if value is None else repr(value) for value in (each.recorded, each.recomputed)
        )
        same = "equal" if recorded == now else "within tolerance" if each.agrees else "DIFFERENT"
        stdout.print(f"{each.name:<12} recorded {recorded}, recomputed {now}: {same}")
    if reproduced.identical:
        stdout.print(
            f"record {reproduced.id}: byte-identical (SHA-256 {reproduced.recorded_sha256})",
            soft_wrap=True,
        )
        return
    for found in reproduced.differences[:_SHOWN]:
        stdout.print(
            _plain(
                f"DIFFERENT {found.key}: recorded {found.recorded!r}, "
                f"recomputed {found.recomputed!r}"
            ),
            soft_wrap=True,
        )
    if len(reproduced.differences) > _SHOWN:
        stdout.print(f"… and {len(reproduced.differences) - _SHOWN:,} more")
    stdout.print(f"record {reproduced.id}: not the same", soft_wrap=True)


def _plain(text: str) -> str:
    """Text with plain spaces for those that do not break; rich's own would lose some characters."""
    return visible(text.replace("\u00a0", " ").replace("\u202f", " "))


def _section(console: Console, title: str, content: Table) -> None:
    console.print()
    console.print(Text(title, "bold"))
    console.print(content)


def _facts(facts: Sequence[Fact]) -> Table:
    table = Table.grid(Column(min_width=26), Column(overflow="fold"), padding=(0, 2))
    for fact in facts:
        table.add_row(Text(f"  {_plain(fact.name)}", "dim"), Text(_plain(fact.text)))
    return table


def _reasons(sheet: Sheet) -> Table:
    table = Table.grid(Column(justify="right"), Column(), Column(), padding=(0, 2))
    for i, reason in enumerate(sheet.reasons, 1):
        table.add_row(
            f"  {i}.",
            Text(_plain(reason.text)),
            Text(_plain(f"{reason.code} {reason.contribution}"), "dim"),
        )
    return table


def _bars(bars: Sequence[Bar]) -> Table:
    table = Table.grid(
        Column(),
        Column(no_wrap=True, width=2 * _HALF + 1),
        Column(justify="right"),
        Column(justify="right"),
        padding=(0, 2),
    )
    for bar in bars:
        table.add_row(Text(f"  {_plain(bar.group)}"), bar_of(bar), bar.text, Text(bar.error, "dim"))
    return table


def _values(sheet: Sheet) -> Table:
    words = sheet.words
    table = Table(
        f"  {words['feature']}",
        Column(words["value"], justify="right"),
        Column(words["typical"], justify="right"),
        words["unit"],
        words["window"],
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for row in sheet.values:
        table.add_row(
            Text(f"  {_plain(row.feature)}"),
            row.value,
            row.typical,
            Text(_plain(row.unit)),
            Text(_plain(row.window), "dim"),
        )
    return table
