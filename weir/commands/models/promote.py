"""`weir models promote`, `rollback` and `serving`: which model answers, while scorers run."""

from typing import Annotated

import typer

from inference.control.commands import MOST_BEFORE, ChampionCommand, ModelVersion, version_of
from inference.control.control_room import ControlRoom, as_dict
from inference.gates.waiver import WAIVE
from inference.packages.mlflow_connection import RegistryError
from inference.packages.registry import CHAMPION_ALIAS as CHAMPION_ALIAS
from inference.packages.registry import Registry
from streams.base.clock import now_ms
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout
from weir.cli.dates import moment
from weir.cli.login import LONGEST_BY, LONGEST_NOTE, at_most
from weir.commands.models.outcome import Outcome, make_champion, reports_table, show_outcome
from weir.commands.models.rooms import author_who_may, commanding_room, said, viewing_room
from weir.config.settings import Settings, load_settings
from weir.services.wiring import command_keys, kafka_settings, open_registry

ByOption = Annotated[
    str | None,
    typer.Option(
        "--by",
        show_default="the name of your login",
        help="Who decides this.",
        callback=at_most(LONGEST_BY),
    ),
]
NoteOption = Annotated[str, typer.Option("--note", help="Why.", callback=at_most(LONGEST_NOTE))]
WaitOption = Annotated[
    float,
    typer.Option("--wait", min=0, help="Seconds to wait for the scorers' reports; 0 doesn't wait."),
]


def promote(
    name: Annotated[str, typer.Argument(help="A version or an alias in the registry.")],
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    wait: WaitOption = 30.0,
    waive: Annotated[
        str,
        typer.Option(
            help="Why it may be, though a gate is not passed.", callback=at_most(LONGEST_NOTE)
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a model champion: running scorers change to it between two batches.

    The model is tried here first, as a scorer would: package, features, golden batch, policy. Then
    a record on the control topic names it, and the registry's alias follows. A scorer that can't
    take it up goes on with what it has, and says so. Where all of them do, the champion before is
    restored. Exit code 1 if one refuses, if somebody else promotes a model meanwhile, or, where
    gates.enforce says so, while a gate is not passed (`weir models gates`).
    """
    settings = load_settings(config)
    show_outcome(promoted(settings, name, by, note, wait, as_json, waive), as_json)


def promoted(
    settings: Settings,
    name: str | int,
    by: str | None,
    note: str,
    wait: float,
    quiet: bool,
    waive: str = "",
) -> Outcome:
    """Make a model champion; see `promote`.

    Raises:
        InferenceError: the model can't serve, or somebody else has promoted another meanwhile.
        SettingsError: nobody is named who does it.
    """
    registry = open_registry(settings)
    if waive:
        author_who_may(command_keys(settings, signing=True), by, WAIVE)
    with commanding_room(settings, by, gates=True) as (room, author):
        version = version_of(registry.get(name))
        champion = room.champion
        if champion is not None and champion.model == version:
            registry.set_alias(CHAMPION_ALIAS, version.version)  # which may have failed back then
            told = {"champion": {"model": version.model_dump()}, "changed": False, "scorers": {}}
            return Outcome(told, [f"{version} is champion already"], failed=False)
        gates, waived = _admitted(settings, room, registry, version, author, waive)
        _try(settings, registry, version, room)
        if champion is not None:
            before = (*champion.before, champion.model)[-MOST_BEFORE:]
        else:
            before = _registered(registry, version)
        command = said(
            ChampionCommand,
            model=version,
            before=before,
            expects=None if champion is None else champion.model,
            by=author,
            note=note,
            waived=waived,
            at=now_ms(),
        )
        outcome = make_champion(room, registry, command, wait, quiet)
    outcome.said["gates"] = {name: state for name, state, _ in gates}
    open_ones = ", ".join(name for name, state, _ in gates if state != "passed")
    if open_ones:
        why = waived or "gates.enforce is false"
        outcome.shown.append(f"gates not passed: {open_ones} ({why})")
    return outcome


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
    with commanding_room(settings, by) as (room, author):
        champion = room.champion
        if champion is None or not champion.before:
            raise RegistryError(
                "there is no champion before this one on the control topic: name a version with "
                "`weir models promote`"
            )
        *before, version = champion.before
        _try(settings, registry, version, room)
        command = said(
            ChampionCommand,
            model=version,
            before=tuple(before),
            expects=champion.model,
            by=author,
            note=note,
            at=now_ms(),
        )
        show_outcome(make_champion(room, registry, command, wait, as_json), as_json)


def serving(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show which model and policy shall answer, and which do, scorer by scorer.

    A scorer that was killed leaves its last word, which says so after a while.
    """
    settings = load_settings(config)
    with viewing_room(settings) as room:
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
        author = f"by {champion.by}, {moment(champion.at, 's')} UTC {champion.note}".rstrip()
        stdout.print(f"champion: {champion.model}, {author}")
    version = policy.policy.version if policy else f"{settings.policy.version} (of the settings)"
    stdout.print(f"policy: {version}")
    stdout.print(reports_table(reports) if reports else "no scorer has reported")


def _admitted(
    settings: Settings,
    room: ControlRoom,
    registry: Registry,
    version: ModelVersion,
    author: str,
    waive: str,
) -> tuple[list[tuple[str, str, str]], str]:
    """The gates, as (name, state, why), and why the model is promoted though one is not passed.

    Raises:
        InferenceError: it may not be.
    """
    # Imported here: the other commands about models must not pay for statistics.
    from weir.services.candidates.promotion_gates import gates_before

    kafka, keys = kafka_settings(settings), command_keys(settings)
    found = gates_before(settings, kafka, room, registry, version.package, keys)
    waived = found.admit(version.version, author, waive)
    return [(gate.name, gate.state, gate.why) for gate in found.gates], waived


def _registered(registry: Registry, version: ModelVersion) -> tuple[ModelVersion, ...]:
    """What was champion where the control topic names none: the registry's, if it is another."""
    if CHAMPION_ALIAS not in registry.aliases():
        return ()
    current = version_of(registry.get(CHAMPION_ALIAS))
    return (current,) if current != version else ()


def _try(settings: Settings, registry: Registry, version: ModelVersion, room: ControlRoom) -> None:
    # Imported here: the other commands about models must not pay for engines.
    from weir.services.scorer_model import check_model

    check_model(settings, registry, version, room.policy_or(settings.policy))
