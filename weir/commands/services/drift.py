"""`weir drift`: episodes of drift that the monitor has found, and what people say of them."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from monitoring.counting.cell_counts import EpisodeAct
from monitoring.episodes.episode import DECODE_EPISODE, Episode
from monitoring.episodes.retraining import retraining_verdict
from streams.base.clock import now_ms
from streams.kafka.records.consuming import read_to_end
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.permission_check import named_denials
from streams.kafka.rights.process import Process
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout, write_file
from weir.cli.dates import moment, parse_duration_ms
from weir.cli.login import login_or
from weir.commands.models.promote import ByOption, NoteOption
from weir.config.settings import Settings, load_settings
from weir.episodes.acts import Deed, say
from weir.episodes.page import episode_html
from weir.episodes.words import back_of, state_of, together_of
from weir.services.wiring import admitted, usage

_ID_WIDTH = 12

drift = typer.Typer(
    no_args_is_help=True,
    help="Look at episodes of drift, and say what becomes of them.\n\n"
    "An episode is one thing that happened to a model's stream: features that moved while others "
    "of them were away. `weir monitor` finds it, and says when it is over.",
)

IdArgument = Annotated[
    str, typer.Argument(help="The episode's id, or its first digits.", show_default=False)
]


@drift.command()
def status(
    config: ConfigOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is over.", show_default=False)
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the episodes that go on: what has moved, since when, and who looks after it.

    And whether they ask for retraining, or block it.
    """
    known = _episodes(load_settings(config))
    episodes = [each for each in known if everything or each.state == "open"]
    retraining = retraining_verdict(known)
    if as_json:
        print_json(msgspec.to_builtins({"episodes": episodes, "retraining": retraining}))
        return
    table = Table("episode", "what", "since", "features", "state", "model")
    table.columns[0].no_wrap, table.columns[0].overflow = True, "fold"  # it is to be copied
    table.columns[0].min_width = _ID_WIDTH
    for each in episodes:
        names = [moved.name for moved in each.moved]
        more = f", and {len(names) - 3} more" if len(names) > 3 else ""
        table.add_row(
            each.id,
            each.kind.replace("_", " "),
            moment(each.began, "s"),
            ", ".join(names[:3]) + more,
            state_of(each),
            each.model[:12],
        )
    stdout.print(table if episodes else "no drift: no episode goes on")
    stdout.print(f"retraining: {retraining.words}", markup=False, soft_wrap=True)


@drift.command()
def show(episode: IdArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show all that is known of an episode."""
    found = _named(_episodes(load_settings(config)), episode)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    stdout.print(f"episode {found.id}: {found.kind.replace('_', ' ')} of model {found.model}")
    stdout.print(f"began {moment(found.began, 's')}, found {moment(found.found, 's')} UTC")
    stdout.print(f"state: {state_of(found)}")
    if found.state == "open" and found.retraining is not None:
        stdout.print(f"retraining: {found.retraining}")
    for each in found.moved:
        back = f" ({said})" if (said := back_of(each)) else ""
        stdout.print(f"- {each.words}, since {moment(each.since, 's')}{back}", markup=False)
    if said := together_of(found):
        stdout.print(said, markup=False)
    for act in found.acts:
        stdout.print(f"{moment(act.at, 's')} {act.deed} by {act.by}: {act.note}", markup=False)


@drift.command()
def page(
    episode: IdArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", show_default="episode-ID.html", help="Write there."
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write all that is known of an episode as one HTML file, such as for a ticket.

    What happened and what to do, a timeline, and of each feature a histogram beside the reference.
    It holds no scripts and loads nothing, so it can be read anywhere, and printed.
    """
    found = _named(_episodes(load_settings(config)), episode)
    # Whoever may write to the topic chooses ids: no folder is left by one.
    plain = "".join(each for each in found.id if each.isalnum())
    write_file(output or Path(f"episode-{plain}.html"), [episode_html(found)])


@drift.command()
def ack(
    episode: IdArgument,
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say that somebody looks after an episode."""
    _say(config, episode, "acknowledge", by, note, as_json)


@drift.command()
def snooze(
    episode: IdArgument,
    duration: Annotated[
        str, typer.Option("--for", help="For how long, such as 4h.", show_default=False)
    ],
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let nobody be called because of an episode for a while."""
    length = parse_duration_ms(duration, "--for")
    _say(config, episode, "snooze", by, note, as_json, length)


@drift.command()
def close(
    episode: IdArgument,
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say that an episode is over. What is still away begins a new one."""
    _say(config, episode, "close", by, note, as_json)


def _episodes(settings: Settings) -> list[Episode]:
    """What the topic says last of each, by when it was found; other records are passed over."""
    rights = acls_of(Process.DRIFT, usage(settings))
    kafka, _ = admitted(settings, lambda _: rights)
    found: dict[str, Episode] = {}
    with named_denials(kafka, rights):
        for batch in read_to_end(kafka, settings.topics.drift):
            for message in batch:
                try:
                    episode = DECODE_EPISODE(message.value() or b"")
                except ValueError:
                    continue
                found[episode.id] = episode
    return sorted(found.values(), key=lambda each: (each.found, each.id))


def _named(episodes: list[Episode], wanted: str) -> Episode:
    found = [each for each in episodes if wanted and each.id.startswith(wanted)]
    if len(found) != 1:
        known = ", ".join(each.id for each in found or episodes) or "there is none"
        what = "several episodes begin with" if found else "no episode is named"
        raise typer.BadParameter(f"{what} {wanted!r}: {known}", param_hint="EPISODE")
    return found[0]


def _say(
    config: ConfigOption,
    episode: str,
    deed: Deed,
    by: str | None,
    note: str,
    as_json: bool,
    length: int | None = None,
) -> None:
    settings = load_settings(config)
    found = _named(_episodes(settings), episode)
    if found.state == "closed":
        raise typer.BadParameter(f"episode {found.id} is over", param_hint="EPISODE")
    at = now_ms()
    until = None if length is None else at + length
    act = EpisodeAct(found.id, deed, login_or(by), note, at, until)
    rights = acls_of(Process.DRIFT_ACT, usage(settings))
    kafka, _ = admitted(settings, lambda _: rights)
    with named_denials(kafka, rights):
        say(kafka, settings.topics.drift_counts, act)
    if as_json:
        print_json(msgspec.to_builtins(act))
    else:
        stdout.print(f"episode {found.id}: {deed} by {act.by}; the monitor takes it up")
