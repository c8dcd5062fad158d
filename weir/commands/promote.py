"""`weir models promote`, `rollback` and `serving`: which model answers, while scorers run."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table

from inference.packages.registry import CHAMPION_ALIAS as CHAMPION_ALIAS
from inference.packages.registry import Registry, RegistryError
from inference.serving.commands import (
    CHAMPION_KEY,
    ChampionCommand,
    ModelVersion,
    ScorerReport,
    version_of,
)
from inference.serving.control_room import ControlRoom, as_dict
from streams.base.clock import now_ms
from streams.kafka.acls import Process, acls_of
from weir.cli.console import FAILED, ConfigOption, JsonOption, print_json, progress_bar, stdout
from weir.cli.dates import moment
from weir.cli.login import login_or
from weir.config.settings import Settings, load_settings
from weir.services.wiring import admitted, open_registry

ByOption = Annotated[
    str | None,
    typer.Option("--by", show_default="the name of your login", help="Who decides this."),
]
NoteOption = Annotated[str, typer.Option("--note", help="Why.")]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait for the scorers' word; 0 for none.")
]


def promote(
    name: Annotated[str, typer.Argument(help="A version or an alias in the registry.")],
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    wait: WaitOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Make a model champion: running scorers change to it between two batches.

    The model is tried here first, as a scorer would: package, features, golden batch, policy. Then
    a record on the control topic names it, and the registry's alias follows. A scorer that can't
    take it up goes on with what it has, and says so. Exit code 1 if one refuses.
    """
    settings = load_settings(config)
    registry = open_registry(settings)
    with control_room(settings) as room:
        version = version_of(registry.get(name))
        champion = room.champion
        if champion is not None and champion.model == version:
            registry.set_alias(CHAMPION_ALIAS, version.version)  # which may have failed back then
            _say_unchanged(version, as_json)
            return
        _try(settings, registry, version, room)
        by, at = login_or(by), now_ms()
        if champion is not None:
            command = champion.followed_by(version, by, note, at)
        else:
            before = _registered(registry, version)
            command = ChampionCommand(model=version, before=before, by=by, note=note, at=at)
        _make_champion(room, registry, command, wait, as_json)


def rollback(
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    wait: WaitOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Make the model champion again that was it before; again, the one before that.

    For when a promoted model turns out wrong. Exit code 1 if there is none before, or a scorer
    refuses.
    """
    settings = load_settings(config)
    registry = open_registry(settings)
    with control_room(settings) as room:
        champion = room.champion
        if champion is None or not champion.before:
            raise RegistryError(
                "there is no champion before this one on the control topic: name a version with "
                "`weir models promote`"
            )
        *before, version = champion.before
        _try(settings, registry, version, room)
        command = ChampionCommand(
            model=version, before=tuple(before), by=login_or(by), note=note, at=now_ms()
        )
        _make_champion(room, registry, command, wait, as_json)


def serving(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show which model and policy shall answer, and which do, scorer by scorer.

    A scorer that was killed leaves its last word, which says so after a while.
    """
    settings = load_settings(config)
    with control_room(settings) as room:
        champion, policy = room.champion, room.policy
        reports = room.reports
    if as_json:
        print_json(
            {
                "champion": champion.model_dump(mode="json") if champion else None,
                "policy": policy.model_dump(mode="json") if policy else None,
                "scorers": {worker: as_dict(report) for worker, report in reports.items()},
            }
        )
        return
    if champion is None:
        stdout.print("champion: as the registry says; nobody has promoted a model yet")
    else:
        said = f"by {champion.by}, {moment(champion.at, 's')} UTC {champion.note}".rstrip()
        stdout.print(f"champion: {champion.model}, {said}")
    version = policy.policy.version if policy else f"{settings.policy.version} (of the settings)"
    stdout.print(f"policy: {version}")
    stdout.print(reports_table(reports) if reports else "no scorer has reported")


@contextmanager
def control_room(settings: Settings) -> Iterator[ControlRoom]:
    """The control topic of these settings, with the rights that it takes."""
    kafka, _ = admitted(settings, partial(acls_of, Process.CONTROL))
    room = ControlRoom(kafka, settings.topics.control)
    try:
        yield room
    finally:
        room.close()


def show_answers(
    room: ControlRoom, wait: float, as_json: bool, said: dict[str, Any], text: str
) -> None:
    """Wait for what scorers say to a command, and print it.

    Raises:
        typer.Exit: one of them refused.
    """
    answers: dict[str, ScorerReport | None] = {}
    if wait:
        with progress_bar("waiting for the scorers", not as_json) as step:
            answers = room.answers(wait, step)
    if as_json:
        reports = {worker: as_dict(report) for worker, report in answers.items()}
        print_json({**said, "changed": True, "scorers": reports})
    else:
        stdout.print(text)
        if answers:
            stdout.print(reports_table(answers))
        elif wait:
            stdout.print("no scorer runs; those that start will go by it")
    if any(report is not None and report.outcome == "refused" for report in answers.values()):
        raise typer.Exit(FAILED)


def reports_table(reports: dict[str, ScorerReport | None]) -> Table:
    """What scorers say, for people."""
    table = Table.grid("scorer", "outcome", "what", "since", padding=(0, 2))
    for worker, report in reports.items():
        if report is None:
            table.add_row(worker, "no word", "it was killed, or is busy starting")
            continue
        answers = f"{report.model[:12]}, policy {report.policy}"
        outcome = report.outcome if report.lives(now_ms()) else "killed"
        table.add_row(worker, outcome, answers, moment(report.at, "s"))
        if report.reason:
            table.add_row("", "", report.reason)
    return table


def _registered(registry: Registry, version: ModelVersion) -> tuple[ModelVersion, ...]:
    """What was champion where the control topic names none: the registry's, if it is another."""
    if CHAMPION_ALIAS not in registry.aliases():
        return ()
    current = version_of(registry.get(CHAMPION_ALIAS))
    return (current,) if current != version else ()


def _try(settings: Settings, registry: Registry, version: ModelVersion, room: ControlRoom) -> None:
    # Imported here: the other commands about models must not pay for engines.
    from weir.services.build_scorer import check_model

    check_model(settings, registry, version, room.policy_or(settings.policy))


def _make_champion(
    room: ControlRoom, registry: Registry, command: ChampionCommand, wait: float, as_json: bool
) -> None:
    room.say(CHAMPION_KEY, command)
    registry.set_alias(CHAMPION_ALIAS, command.model.version)
    said = {"champion": command.model_dump(mode="json")}
    show_answers(room, wait, as_json, said, f"champion: {command.model}")


def _say_unchanged(version: ModelVersion, as_json: bool) -> None:
    if as_json:
        print_json({"champion": {"model": version.model_dump()}, "changed": False, "scorers": {}})
    else:
        stdout.print(f"{version} is champion already")
