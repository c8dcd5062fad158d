"""`weir audit`: whether the store of explanations is as it was written, and what people did."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from explain.store.anchors import export_line, first_lost, stored_anchors
from explain.store.checking.verification import Report
from explain.store.checking.verification import verify as verify_store
from explain.store.errors import TamperedError
from explain.store.people.queries import list_acts
from explain.store.people.retention import PurgePlan, Retention
from streams.base.clock import now_ms
from weir.cli.console import (
    FAILED,
    STDOUT,
    ConfigOption,
    JsonOption,
    QuietOption,
    print_json,
    progress_bar,
    stdout,
    write_file,
)
from weir.cli.dates import moment, parse_time_ms
from weir.cli.login import login_or
from weir.commands.explanations.audit_hold import ByOption, NoteOption
from weir.commands.explanations.audit_hold import app as hold_app
from weir.commands.explanations.audit_roles import roles
from weir.commands.explanations.audit_witness import hear
from weir.config.settings import Settings, load_settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Whether the store of explanations is as it was written, and what people did with it.\n\n"
    "Records stand in a hash chain under signed anchors. `verify` names the first one that was "
    "changed, removed or moved. Keep a copy of what `anchors` writes where nobody who can write to "
    "the database can: it shows if the end was cut off. See docs/audit.md.",
)
app.add_typer(hold_app, name="hold")
app.command("roles")(roles)

_LISTED = 20

PublicKeyOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--public-key",
        metavar="FILE",
        show_default=False,
        help="A public key whose anchors count, besides ours; may be given again.",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", show_default=False, help="Write there, not to stdout."),
]


@app.command()
def verify(
    config: ConfigOption = None,
    anchors: Annotated[
        Path | None,
        typer.Option(
            "--anchors",
            metavar="FILE",
            show_default=False,
            help="A copy of the anchors, as `weir audit anchors` wrote it at some time.",
        ),
    ] = None,
    public_key: PublicKeyOption = None,
    witness: Annotated[
        bool | None,
        typer.Option(
            "--witness/--no-witness",
            show_default="if Kafka answers",
            help="Compare with what the sink has noted of the store in Kafka.",
        ),
    ] = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Look at every record and every act; exit code 1 if anything is not as it was written.

    Names the first record that was changed, removed, inserted or moved, and what is wrong; and
    apart from that the first anchor whose signature is wrong. What the sink has noted in Kafka
    shows if the store was emptied, or rolled back with its anchors; where Kafka does not answer, a
    line says so.
    """
    settings = load_settings(config)
    trusted = settings.store.trusted(settings.data_dir, *(public_key or ()))
    with settings.store.open_database(settings.data_dir, make=False) as database:
        # Before the store is looked at, which has all that was noted.
        heard = hear(settings, witness, database, trusted)
        with progress_bar("verifying", not (as_json or no_progress)) as step:
            report = verify_store(database, trusted, anchors, step, witnesses=heard.witnesses)
    if as_json:
        said = {"heard": bool(heard.witnesses), "said": heard.said}
        print_json({"whole": report.whole, **asdict(report), "witness": said})
    else:
        _say(report)
        stdout.print(heard.said, soft_wrap=True)
    if not report.whole:
        raise typer.Exit(FAILED)


@app.command("anchors")
def list_anchors(
    config: ConfigOption = None,
    after: Annotated[int, typer.Option(min=0, help="Only those numbered after this one.")] = 0,
    out: OutOption = None,
) -> None:
    """Write the signed anchors as JSON lines, for someone else to keep.

    Who holds a copy sees with `weir audit verify --anchors FILE` whether records or anchors are
    missing since. `--after` writes only what is new, to add to a copy. A copy that has anchors
    which the store lacks is not written over: it is the evidence.
    """
    settings = load_settings(config)
    is_there = out is not None and out.is_file() and out.stat().st_size > 0
    if after and is_there:
        raise typer.BadParameter(
            f"{out} is there, and would lose the anchors up to {after}: add to it by `weir audit "
            f"anchors --after {after} >> {out}`"
        )
    with (
        settings.store.open_database(settings.data_dir, make=False) as database,
        database.reading() as connection,
    ):
        if out is not None and is_there and (lost := first_lost(connection, out)) is not None:
            raise TamperedError(
                f"{out}: the store does not have its anchor {lost} any more, so it is not written "
                f"over: `weir audit verify --anchors {out}`"
            )
        write_file(out or STDOUT, map(export_line, stored_anchors(connection, after)))


@app.command()
def key(config: ConfigOption = None, out: OutOption = None) -> None:
    """Write the public key, for whoever verifies elsewhere; the private one is made if need be."""
    settings = load_settings(config)
    pem = settings.store.open_signer(settings.data_dir).public_pem()
    write_file(out or STDOUT, [pem.encode()])


@app.command()
def log(
    config: ConfigOption = None,
    after: Annotated[int, typer.Option(min=0, help="Only those numbered after this one.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for programs.")
    ] = False,
) -> None:
    """List what people did: who read, held, released, purged or erased what, and when."""
    settings = load_settings(config)
    table = Table.grid("number", "time", "who", "what", "count", "note", padding=(0, 2))
    with settings.store.open_database(settings.data_dir) as database:
        for number, act in list_acts(database, after):
            if as_json:
                line = {"number": number, **msgspec.to_builtins(act)}
                print_json(line, indent=None)
                continue
            said = (f"{key}={value}" for key, value in act.what.items() if key != "rows")
            what = " ".join([act.kind, *said])
            at = moment(act.time, "s")
            table.add_row(str(number), at, act.name, what, f"{act.count:,}", act.note)
    if not as_json:
        stdout.print(table if table.row_count else "nobody has read anything yet")


@app.command()
def purge(
    config: ConfigOption = None,
    before: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            show_default="now less store.keep",
            help="Remove records of older events: 2018-07-25 or 2018-07-25T12:00, UTC.",
        ),
    ] = None,
    by: ByOption = None,
    note: NoteOption = "",
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Remove them, for good; without it, only say what would be removed."
        ),
    ] = False,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Remove the oldest records, whole segments up to an anchor at a time.

    Without --yes it only says what it would do. The store is verified first, and nothing is removed
    from one that was tampered with. The first record that is younger, or under a legal hold, ends
    what goes. A signed anchor says where the store begins from then on.
    """
    settings = load_settings(config)
    before_ms = _before_ms(settings, before)
    with (
        settings.store.open_database(settings.data_dir) as database,
        progress_bar("verifying", yes and not (as_json or no_progress)) as step,
    ):
        retention = Retention(database, login_or(by))
        if yes:
            signer = settings.store.open_signer(settings.data_dir)
            trusted = settings.store.trusted(settings.data_dir)
            plan = retention.purge(before_ms, signer, trusted, note, step)
        else:
            plan = retention.plan(before_ms)
    if as_json:
        print_json({"done": yes, "before_ms": before_ms, **asdict(plan)})
        return
    _say_purged(plan, before_ms, yes)


def _before_ms(settings: Settings, before: str | None) -> int:
    if before is not None:
        return parse_time_ms(before, "--before")
    if settings.store.keep is None:
        raise typer.BadParameter(
            "say how old: --before TIME, or set store.keep in the settings, such as '1825d'"
        )
    return now_ms() - settings.store.keep


def _say(report: Report) -> None:
    for fault in report.faults:
        stdout.print(f"TAMPERED: {fault}", soft_wrap=True)
    if report.other_count:
        listed = ", ".join(f"{number:,}" for number in report.others[:_LISTED])
        more = ", …" if report.other_count > _LISTED else ""
        noun = "place" if report.other_count == 1 else "places"
        stdout.print(
            f"{report.other_count:,} further {noun} among the records: {listed}{more}",
            soft_wrap=True,
        )
    state = "whole" if report.whole else "up to the first fault"
    said = [
        f"{state}: {report.records:,} records, {report.acts:,} acts, {report.anchors:,} anchors"
    ]
    if report.erased:
        said.append(f"{report.erased:,} records were erased")
    if report.purged:
        said.append(f"records up to {report.purged:,} were purged")
    if report.unanchored:
        said.append(f"the last {report.unanchored:,} records are not under an anchor yet")
    stdout.print("; ".join(said), soft_wrap=True)


def _say_purged(plan: PurgePlan, before_ms: int, done: bool) -> None:
    verb = "removed" if done else "would remove"
    stdout.print(
        f"{verb} {plan.records:,} records, of the {plan.wanted:,} whose events are older than "
        f"{moment(before_ms, 's')}",
        soft_wrap=True,
    )
    if plan.held_by:
        numbers = ", ".join(map(str, plan.held_by))
        stdout.print(f"under hold: some of those ({numbers}): `weir audit hold list`")
    if plan.records and not done:
        stdout.print("nothing was done: --yes does it, and there is no way back")
