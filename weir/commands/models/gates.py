"""`weir models gates` and `waive`: what stands between a model and its promotion."""

from typing import Annotated

import typer
from rich.table import Table

from inference.control.commands import encode, version_of
from inference.gates.waiver import WAIVE, Waiver, waiver_key
from streams.base.clock import now_ms
from streams.transactions.control_writer import ControlWriter
from weir.cli.console import FAILED, ConfigOption, JsonOption, print_json, stdout
from weir.cli.dates import moment
from weir.cli.login import LONGEST_NOTE, at_most
from weir.commands.models.promote import ByOption
from weir.commands.models.rooms import author_who_may, commanding_room, said, viewing_room
from weir.config.errors import SettingsError
from weir.config.settings import load_settings
from weir.services.candidates.promotion_gates import (
    Gates,
    champion_of,
    champion_since,
    gates_before,
)
from weir.services.wiring import command_keys, kafka_settings, open_registry

VersionArgument = Annotated[
    str,
    typer.Argument(
        help="Version or alias of a model in the registry, or the first digits of its id.",
        show_default=False,
    ),
]


def gates(
    version: VersionArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show which gates a model has passed, and what the others wait for; changes nothing.

    What is known of it was written down by `weir judge` (the shadow) and `weir canary run`. Exit
    code 1 while a gate is not passed.
    """
    settings = load_settings(config)
    registry = open_registry(settings)
    model = version_of(registry.get(version))
    keys, kafka = command_keys(settings), kafka_settings(settings)
    with viewing_room(settings, gates=True) as room:
        found = gates_before(settings, kafka, room, registry, model.package, keys)
    if as_json:
        waiver = None if found.waiver is None else found.waiver.model_dump(mode="json")
        print_json(
            {
                "model": model.model_dump(mode="json"),
                "champion": found.champion,
                "gates": [gate.as_dict() for gate in found.gates],
                "waiver": waiver,
                "enforced": settings.gates.enforce,
            }
        )
    else:
        _show(found, str(model), settings.gates.enforce)
    if found.not_passed:
        raise typer.Exit(FAILED)


def waive(
    version: VersionArgument,
    note: Annotated[
        str, typer.Option("--note", help="Why.", callback=at_most(LONGEST_NOTE), show_default=False)
    ],
    config: ConfigOption = None,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a model may become champion, though a gate is not passed.

    It counts beside the champion of now. With gates.second_person somebody else has to
    promote it. The promotion names who waived what, and why.
    """
    settings = load_settings(config)
    if not note.strip():
        raise SettingsError("--note: a waiver has a reason")
    registry = open_registry(settings)
    model = version_of(registry.get(version))
    keys = command_keys(settings, signing=True)
    author = author_who_may(keys, by, WAIVE)
    kafka = kafka_settings(settings)
    with commanding_room(settings, by) as (room, _):
        champion = champion_of(room, registry)
        if champion is None or champion == model.package:
            raise SettingsError(f"{model} has no gates: there is no other champion beside it")
        at = max(now_ms(), champion_since(room) + 1)  # whatever the clocks say
        waiver = said(Waiver, package=model.package, beside=champion, by=author, note=note, at=at)
        key, value = waiver_key(model.package), encode(waiver)
        with ControlWriter(kafka, settings.topics.control) as writer:
            writer.write(key, value, keys.headers(key, value))
    if as_json:
        print_json(waiver.model_dump(mode="json"))
    else:
        stdout.print(f"{model} may become champion beside {champion[:12]}: {author} says so")


def _show(found: Gates, model: str, enforced: bool) -> None:
    if found.champion is None:
        stdout.print(f"{model} has no gates: there is no other champion beside it")
        return
    table = Table("gate", "state", "why", title=f"{model} beside champion {found.champion[:12]}")
    for gate in found.gates:
        table.add_row(gate.name, gate.state, gate.why)
    stdout.print(table)
    if found.waiver is not None:
        stdout.print(
            f"waived by {found.waiver.by}, {moment(found.waiver.at, 's')}: {found.waiver.note}"
        )
    if not enforced:
        stdout.print("gates.enforce is false: `weir models promote` says so, and promotes it")
