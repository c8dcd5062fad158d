"""`weir canary`: models that answer for a share of the keys, and the keeper that steps them up."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from inference.canary.board import CanaryBoard
from inference.control.canary import CANARY, ArmShare, CanaryCommand
from inference.control.commands import Withdrawal, version_of
from inference.control.signatures import CommandKeys
from inference.packages.registry import CHAMPION_ALIAS, Registry
from streams.base.clock import now_ms
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.permission_check import named_denials
from streams.kafka.rights.process import Process
from weir.cli.console import ConfigOption, JsonOption, QuietOption, print_json, stdout
from weir.cli.dates import moment
from weir.commands.models.promote import ByOption, NoteOption
from weir.commands.models.rooms import author_who_may, said, usable_model, viewing_room
from weir.commands.services.canary_radius import RadiusOption, tell_radius
from weir.commands.services.canary_run import run
from weir.commands.services.canary_shown import show
from weir.config.errors import SettingsError
from weir.config.settings import Settings, load_settings
from weir.services.service import MetricsPortOption
from weir.services.wiring import admitted, command_keys, open_registry, usage

canary = typer.Typer(invoke_without_command=True)


@canary.callback()
def keep(
    context: typer.Context, config: ConfigOption = None, metrics_port: MetricsPortOption = None
) -> None:
    """Let models answer for a share of the keys, until SIGTERM.

    Which keys is told by a salted hash: a key stays with its arm, in every worker, for as long as
    the experiment lasts. Where an arm fails, is late or answers with no number, the champion
    answers in its place, and the score says so. Without a command, as `weir canary run`.
    """
    if context.invoked_subcommand is None:
        run(config, metrics_port)


canary.command()(run)


@canary.command()
def start(
    version: Annotated[
        str,
        typer.Argument(
            help="Version or alias of a model in the registry, or the first digits of its id.",
            show_default=False,
        ),
    ],
    share: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Share of the keys.", show_default="the first of canary.steps"
        ),
    ] = None,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="NAME=VERSION:SHARE",
            help="A further arm of a fixed share, for A/B/n; two of them at most.",
        ),
    ] = None,
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
    blast_radius: RadiusOption = True,
    no_progress: QuietOption = False,
) -> None:
    """Begin an experiment: this model answers for a share of the keys, from the next batch on.

    Scorers that run fetch it, try it apart and warm it up first; until then the champion answers.
    `weir canary run` steps it up and rolls it back; `weir canary status` shows how it fares.
    """
    settings = load_settings(config)
    registry = open_registry(settings)
    first = settings.canary.steps[0] if share is None else share
    chosen = [_arm(settings, registry, CANARY, version, first)]
    chosen += [_parsed(settings, registry, each) for each in arms or ()]
    with viewing_room(settings) as room:
        champion = room.champion
    package = (champion.model if champion else version_of(registry.get(CHAMPION_ALIAS))).package
    with _commanding(settings, by) as (board, author):
        if board.said is not None:
            raise SettingsError(
                f"experiment {board.said.experiment} runs: end it first with `weir canary abort`"
            )
        command = said(CanaryCommand.begin, champion=package, arms=chosen, by=author, note=note)
        radius = tell_radius(settings, command, 0.0, blast_radius, as_json, no_progress)
        at = now_ms()  # it took a while
        command = command.model_copy(update={"begun": at, "stepped": at, "at": at})
        show(board.give(command), {}, as_json, radius)


@canary.command()
def step(
    share: Annotated[
        float | None,
        typer.Argument(
            min=0, max=1, help="Share of the keys.", show_default="the next of canary.steps"
        ),
    ] = None,
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
    blast_radius: RadiusOption = True,
    no_progress: QuietOption = False,
) -> None:
    """Give the canary another share of the keys now; who has it already keeps it."""
    settings = load_settings(config)
    with _commanding(settings, by) as (board, author):
        running = _running(board)
        now = running.canary.share
        new = settings.canary.after(now, running.most) if share is None else share
        if new is None:
            raise SettingsError(
                f"{now:.0%} is the last of canary.steps, or all that other arms leave: name a "
                "share, or make it champion with `weir models promote`"
            )
        command = said(running.stepped_to, share=new, by=author, note=note, at=now_ms())
        radius = tell_radius(settings, command, now, blast_radius, as_json, no_progress)
        at = now_ms()  # it took a while
        command = command.model_copy(update={"stepped": at, "at": at})
        show(board.give(command), board.reports, as_json, radius)


@canary.command()
def pause(
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Leave the shares as they are until `weir canary resume`; guardrails still roll it back."""
    _say_state(load_settings(config), "paused", by, note, as_json)


@canary.command()
def resume(
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let the keeper step it up again."""
    _say_state(load_settings(config), "running", by, note, as_json)


@canary.command()
def abort(
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """End the experiment: the champion answers for all keys, from the next batch on."""
    settings = load_settings(config)
    with _commanding(settings, by) as (board, author):
        running = _running(board)
        board.give(said(Withdrawal, by=author, note=note, at=now_ms()))
    if as_json:
        print_json({"experiment": running.experiment, "ended": True, "by": author})
    else:
        stdout.print(f"experiment {running.experiment} is over: the champion answers for all keys")


@canary.command()
def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    blast_radius: RadiusOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Show which arms there are, and how they fare at each scorer.

    With --blast-radius, also what the next step will touch; after the last one, what this one does.
    """
    settings = load_settings(config)
    with _board(settings, Process.VIEWER, command_keys(settings)) as board:
        if (running := board.said) is not None:
            now = running.canary.share
            new = settings.canary.after(now, running.most)
            after = running if new is None else running.stepped_to(new, running.by, "", now_ms())
            radius = tell_radius(settings, after, now, blast_radius, as_json, no_progress)
            show(running, board.reports, as_json, radius)
        elif as_json:
            ended = board.ended
            print_json({"ended": None if ended is None else ended.model_dump(mode="json")})
        elif board.ended is not None:
            ended = board.ended
            stdout.print(
                f"no experiment runs; the last one was ended {moment(ended.at, 's')} by {ended.by}"
                + (f": {ended.note}" if ended.note else "")
            )
        else:
            stdout.print("no experiment runs: `weir canary start` begins one")


def _say_state(settings: Settings, state: str, by: str | None, note: str, as_json: bool) -> None:
    with _commanding(settings, by) as (board, author):
        new = {"state": state, "by": author, "note": note, "at": now_ms()}
        command = said(CanaryCommand, **_running(board).model_dump() | new)
        show(board.give(command), board.reports, as_json)


def _running(board: CanaryBoard) -> CanaryCommand:
    if board.said is None:
        raise SettingsError("no experiment runs: `weir canary start` begins one")
    return board.said


@contextmanager
def _commanding(settings: Settings, by: str | None) -> Iterator[tuple[CanaryBoard, str]]:
    keys = command_keys(settings, signing=True)
    author = author_who_may(keys, by, CANARY)
    with _board(settings, Process.CONTROL, keys) as board:
        yield board, author


@contextmanager
def _board(settings: Settings, process: Process, keys: CommandKeys) -> Iterator[CanaryBoard]:
    rights = acls_of(process, usage(settings))
    kafka, _ = admitted(settings, lambda _: rights)
    with named_denials(kafka, rights), CanaryBoard(kafka, keys, settings.topics.reports) as board:
        yield board


def _parsed(settings: Settings, registry: Registry, text: str) -> ArmShare:
    name, equals, rest = text.partition("=")
    version, colon, share = rest.rpartition(":")
    try:
        if not (equals and colon):
            raise ValueError
        found = float(share)
    except ValueError:
        raise SettingsError(f"--arm {text!r}: write NAME=VERSION:SHARE, such as b=7:0.1") from None
    return _arm(settings, registry, name, version, found)


def _arm(settings: Settings, registry: Registry, name: str, version: str, share: float) -> ArmShare:
    """An arm whose model a scorer can take up: of the features that are declared, and policy."""
    model = usable_model(settings, registry, version)
    return said(ArmShare, name=name, model=model, share=share)
