"""``weir policy``: what is decided by a model's answers, while scorers run."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from inference.control.commands import POLICY_KEY, PolicyCommand
from inference.control.control_room import ControlRoom
from inference.packages.registry import CHAMPION_ALIAS
from inference.policy.floor import BoundedPolicies
from inference.policy.policy import PolicySettings
from streams.base.clock import now_ms
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout
from weir.commands.models.outcome import give, show_outcome
from weir.commands.models.promote import ByOption, NoteOption, WaitOption
from weir.commands.models.rooms import commanding_room, said, viewing_room
from weir.config.errors import SettingsError
from weir.config.settings import Settings, load_settings
from weir.services.wiring import open_registry

app = typer.Typer(help="What is decided by a model's answers.", no_args_is_help=True)


@app.command("set")
def set_policy(
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE...",
            help="Keys of [policy], such as review_alert_rate=0.01 deadline=150ms; a key without "
            "a value goes back to its default.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            help="The new policy's version, which stands in every score.", show_default=False
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with a [policy] section that replaces all that holds now.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    wait: WaitOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Change the policy: running scorers decide by it from their next batch on.

    What is not named stays as it is. Exit code 1 if a scorer refuses, or if somebody else sets a
    policy meanwhile; where all scorers refuse, the policy before is restored. A policy that
    contradicts the champion's thresholds is refused here.
    """
    settings = load_settings(config)
    with commanding_room(settings, by) as (room, author):
        now = room.policy_or(settings.policy)
        policy = _changed(now, _read(file), assignments or [], version)
        if policy.version == now.version and policy != now:
            raise SettingsError(
                f"--version: {now.version!r} is the version of the policy that holds now; give "
                "the new one another, so that scores tell them apart"
            )
        _check(policy, room, settings)
        command = said(
            PolicyCommand,
            policy=policy,
            expects=None if room.policy is None else room.policy.named,
            by=author,
            note=note,
            at=now_ms(),
        )
        show_outcome(give(room, POLICY_KEY, command, wait, as_json), as_json)


@app.command()
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the policy that holds, and who said so."""
    settings = load_settings(config)
    with viewing_room(settings) as room:
        stands = room.policy
    policy = stands.policy if stands is not None else settings.policy
    values = policy.model_dump(mode="json")
    source = f"weir policy set, by {stands.by}" if stands is not None else "the settings"
    if as_json:
        print_json({"policy": values, "source": source, "note": stands.note if stands else ""})
        return
    table = Table(
        "key", "value", title=f"policy {policy.version}, from {source}", title_justify="left"
    )
    for key, value in values.items():
        table.add_row(key, "-" if value is None else str(value))
    stdout.print(table)


def read_policy(file: Path) -> PolicySettings:
    """The policy of a file.

    Raises:
        SettingsError: it holds none; names the key.
    """
    return _changed(PolicySettings(), _read(file), [], None)


def _read(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: no TOML: {error}") from error
    section = content.get("policy")
    if not isinstance(section, dict):
        raise SettingsError(f"{file}: there is no [policy] section in it")
    return section


def _changed(
    now: PolicySettings,
    replacement: dict[str, Any] | None,
    assignments: list[str],
    version: str | None,
) -> PolicySettings:
    values = now.model_dump(mode="json") if replacement is None else dict(replacement)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if key not in PolicySettings.model_fields or not equals:
            known = ", ".join(PolicySettings.model_fields)
            raise SettingsError(f"{assignment!r}: write KEY=VALUE with a KEY of {known}")
        if text:
            values[key] = text
        else:
            values.pop(key, None)
    if version is not None:
        values["version"] = version
    try:
        return PolicySettings.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        raise SettingsError(f"policy{'.' + where if where else ''}: {message}") from error


def _check(policy: PolicySettings, room: ControlRoom, settings: Settings) -> None:
    """Refuse what contradicts the thresholds of the model that answers, or undercuts the floor."""
    registry = open_registry(settings)
    champion = room.champion
    package = registry.resolve(champion.model.version if champion is not None else CHAMPION_ALIAS)
    BoundedPolicies(settings.policy, settings.policy_floor).fit(policy, package.thresholds)
