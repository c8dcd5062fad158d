"""What became of a command to the scorers; one that all of them refuse is taken back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import typer
from confluent_kafka import KafkaException
from rich.table import Table

from inference.control.commands import (
    CHAMPION_KEY,
    ChampionCommand,
    Command,
    CommandError,
    Withdrawal,
)
from inference.control.control_room import ControlRoom, as_dict
from inference.control.reports import ScorerReport
from inference.control.standing import OvertakenError
from inference.packages.mlflow_connection import RegistryError
from inference.packages.registry import CHAMPION_ALIAS as CHAMPION_ALIAS
from inference.packages.registry import Registry
from streams.base.clock import now_ms
from streams.kafka.records.publisher import PublishError
from weir.cli.console import FAILED, print_json, progress_bar, stdout
from weir.cli.dates import moment


@dataclass
class Outcome:
    """What became of a command.

    Attributes:
        said: for programs.
        shown: for people, one after the other.
        failed: whether a scorer refuses it.
        taken_back: whether what stood before stands again.
    """

    said: dict[str, Any]
    shown: list[str | Table] = field(default_factory=list)
    failed: bool = False
    taken_back: bool = False

    def fail(self, problem: str) -> None:
        """Note something that its author has to look after."""
        self.said.setdefault("problems", []).append(problem)
        self.shown.append(problem)
        self.failed = True


def show_outcome(outcome: Outcome, as_json: bool) -> None:
    """Print what became of a command.

    Raises:
        typer.Exit: a scorer refuses it.
    """
    if as_json:
        print_json(outcome.said)
    else:
        for each in outcome.shown:
            stdout.print(each, soft_wrap=isinstance(each, str))
    if outcome.failed:
        raise typer.Exit(FAILED)


def make_champion(
    room: ControlRoom, registry: Registry, command: ChampionCommand, wait: float, quiet: bool
) -> Outcome:
    """Give the command that names a champion, and have the registry's alias follow.

    Raises:
        InferenceError: somebody else was first, or the registry can't be asked.
        PublishError: the cluster did not take it.
    """
    former = registry.aliases().get(CHAMPION_ALIAS)
    problems: list[str] = []

    def follow(version: int) -> None:
        try:
            registry.set_alias(CHAMPION_ALIAS, version)
        except RegistryError as error:
            problems.append(
                f"the registry's alias {CHAMPION_ALIAS!r} does not name version {version} yet: "
                f"{error}. Scorers go by the control topic; promote it again to set the alias too"
            )

    outcome = give(room, CHAMPION_KEY, command, wait, quiet, lambda: follow(command.model.version))
    if outcome.taken_back:
        stands = room.champion.model.version if room.champion is not None else former
        if stands is not None:
            follow(stands)
    for problem in problems:
        outcome.fail(problem)
    return outcome


def give(
    room: ControlRoom,
    key: str,
    command: Command,
    wait: float,
    quiet: bool,
    stands: Callable[[], None] = lambda: None,
) -> Outcome:
    """Give a command, wait for what scorers say to it, and take it back where all refuse it.

    Args:
        wait: seconds to wait for the scorers.
        stands: called as soon as the command stands.

    Raises:
        InferenceError: somebody else was first.
        PublishError: the cluster did not take it.
        KafkaException: the cluster failed.
    """
    former = room.champion if key == CHAMPION_KEY else room.policy
    given = room.change(key, command)
    stands()
    answers: dict[str, ScorerReport | None] = {}
    if wait:
        with progress_bar("waiting for the scorers", not quiet) as step:
            answers = room.answers(wait, step, given)
    outcome = Outcome(
        {
            key: command.model_dump(mode="json"),
            "changed": True,
            "scorers": {worker: as_dict(report) for worker, report in answers.items()},
        },
        [f"{key}: {command.named}"],
    )
    if answers:
        outcome.shown.append(reports_table(answers))
    elif wait:
        outcome.shown.append("no scorer runs; those that start will go by it")
    refusing = [each for each in answers.values() if each and each.outcome == "refused"]
    if refusing and len(refusing) == len(answers) and not any(each.again for each in refusing):
        _take_back(room, key, command, former, outcome)
    elif refusing:
        why = [f"{worker} {_stance(report)}" for worker, report in answers.items()]
        outcome.fail(
            f"it is not taken back, since not every scorer refuses it for good: "
            f"{'; '.join(why)}. {_by_hand(key)}"
        )
    return outcome


def _take_back(
    room: ControlRoom, key: str, command: Command, former: Command | None, outcome: Outcome
) -> None:
    said: dict[str, Any] = {
        "expects": command.named,
        "by": command.by,
        "note": f"taken back: every scorer refuses {command.named}",
        "at": now_ms(),
    }
    again = Withdrawal(**said) if former is None else former.model_copy(update=said)
    try:
        room.change(key, again)
    except (OvertakenError, CommandError, PublishError, KafkaException) as error:
        outcome.fail(
            f"every scorer refuses it, and it could not be taken back: {error}. {_by_hand(key)}"
        )
        return
    outcome.taken_back = True
    outcome.said |= {"changed": False, "taken_back": True}
    otherwise = "the one that the registry names" if key == CHAMPION_KEY else "that of the settings"
    stands = otherwise if former is None else str(former.named)
    outcome.fail(f"every scorer refuses it, so it is taken back: the {key} is {stands} again")


def _stance(report: ScorerReport | None) -> str:
    if report is None:
        return "keeps silent"
    if report.outcome == "serving":
        return "goes by it"
    return "will try it again" if report.again else "refuses it"


def _by_hand(key: str) -> str:
    how = "`weir models rollback`" if key == CHAMPION_KEY else "`weir policy set`"
    return f"{how} takes it back"


def reports_table(reports: dict[str, ScorerReport | None]) -> Table:
    """What scorers say, for people."""
    table = Table.grid("scorer", "outcome", "what", "since", padding=(0, 2))
    for worker, report in reports.items():
        if report is None:
            why = "it was killed, is busy starting, or is of another version"
            table.add_row(worker, "no word", why)
            continue
        answers = f"{report.model[:12]}, policy {report.policy}"
        outcome = report.outcome if report.lives(now_ms()) else "killed"
        table.add_row(worker, outcome, answers, moment(report.at, "s"))
        if report.reason:
            table.add_row("", "", report.reason)
    return table
