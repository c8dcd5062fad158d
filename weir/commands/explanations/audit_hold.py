"""`weir audit hold`: which records must not be purged."""

from dataclasses import asdict
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from explain.store.people.retention import Hold, Retention
from weir.cli.console import ConfigOption, JsonOption, print_json, stderr, stdout
from weir.cli.dates import FromOption, ToOption, moment, time_range_ms
from weir.cli.login import LONGEST_BY, LONGEST_NOTE, at_most, login_or
from weir.config.settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Records that must not be purged, such as those that a court asked for.",
)

ByOption = Annotated[
    str | None,
    typer.Option(
        "--by",
        show_default="the name of your login",
        help="Who does this.",
        callback=at_most(LONGEST_BY),
    ),
]
NoteOption = Annotated[str, typer.Option("--note", help="Why.", callback=at_most(LONGEST_NOTE))]


@app.command()
def add(
    config: ConfigOption = None,
    event: Annotated[
        str | None, typer.Option("--event", metavar="ID", help="Hold the records of this event.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="TOKEN", help="Hold the records with this token of a key."),
    ] = None,
    start: FromOption = None,
    stop: ToOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Hold records, those to come included: of an event, of a key, or of a span of event time.

    Of several conditions all have to be fulfilled.
    """
    settings = load_settings(config)
    from_ms, to_ms = time_range_ms(start, stop)
    hold = Hold(event_id=event, event_key=key, from_ms=from_ms, to_ms=to_ms)
    with settings.store.open_database(settings.data_dir) as database:
        number, held = Retention(database, login_or(by)).add(hold, note)
    if as_json:
        print_json({"hold": number, "records": held, **msgspec.to_builtins(hold)})
        return
    stdout.print(f"hold {number}: {_words(hold)} (records so far: {held:,})")
    if key is not None and not held:
        stderr.print(
            "no record has this token so far: `weir tokens show VALUE` prints that of a value",
            soft_wrap=True,
        )


@app.command("list")
def list_holds(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the holds that are in force."""
    settings = load_settings(config)
    with settings.store.open_database(settings.data_dir) as database:
        holds = Retention(database, login_or(None)).holds()
    if as_json:
        print_json(
            {"holds": [{**asdict(each), "hold": msgspec.to_builtins(each.hold)} for each in holds]}
        )
        return
    if not holds:
        stdout.print("no hold is in force")
        return
    table = Table.grid("hold", "since", "by", "what", "note", padding=(0, 2))
    for each in holds:
        since = moment(each.since, "s")
        said = (each.who, _words(each.hold), each.note)
        table.add_row(str(each.number), since, *said)
    stdout.print(table)


@app.command()
def release(
    number: Annotated[int, typer.Argument(help="Number of the hold, as `list` shows it.")],
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
) -> None:
    """End a hold: its records may be purged from then on."""
    settings = load_settings(config)
    with settings.store.open_database(settings.data_dir) as database:
        Retention(database, login_or(by)).release(number, note)
    stdout.print(f"hold {number} is released")


def _words(hold: Hold) -> str:
    said = []
    if hold.event_id is not None:
        said.append(f"event {hold.event_id}")
    if hold.event_key is not None:
        said.append(f"key {hold.event_key}")
    if hold.from_ms is not None:
        said.append(f"from {moment(hold.from_ms, 's')}")
    if hold.to_ms is not None:
        said.append(f"to {moment(hold.to_ms, 's')}")
    return ", ".join(said)
