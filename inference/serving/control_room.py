"""What the control topic says: which model and policy shall answer, and what scorers report."""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from inference.serving.commands import (
    CHAMPION_KEY,
    POLICY_KEY,
    ChampionCommand,
    CommandError,
    PolicyCommand,
    ScorerReport,
    encode,
    read_command,
    worker_of,
)
from inference.serving.policy import PolicySettings
from streams.base.clock import now_ms
from streams.base.section import Section
from streams.kafka.client import KafkaSettings
from streams.kafka.control_topic import ControlReader, ControlRecord, write_control

logger = logging.getLogger(__name__)

_READ_S = 0.2

_Command = TypeVar("_Command", ChampionCommand, PolicyCommand)


class ControlRoom:
    """Reads the control topic, gives commands, and waits for what scorers say to them.

    A command that can't be read counts as none, as for a scorer that starts, and is logged: else
    nobody could say it again.

    Attributes:
        champion: the model that shall answer; None where nobody has said so.
        policy: the policy that shall hold; None where nobody has said so: then the settings' one.

    Raises:
        ValueError: there is no such topic.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka, self._topic = kafka, topic
        self._reader = ControlReader(kafka, topic)
        self._latest: dict[str, ControlRecord] = self._reader.read_to_end()
        self.champion = _said(ChampionCommand, self._latest.get(CHAMPION_KEY))
        self.policy = _said(PolicyCommand, self._latest.get(POLICY_KEY))

    def close(self) -> None:
        """Leave the cluster."""
        self._reader.close()

    def policy_or(self, otherwise: PolicySettings) -> PolicySettings:
        """The policy that holds."""
        return self.policy.policy if self.policy is not None else otherwise

    @property
    def reports(self) -> dict[str, ScorerReport | None]:
        """What each scorer said last; None where that can't be read."""
        reports = {}
        for key, record in self._latest.items():
            worker = worker_of(key)
            if worker is not None and record.value is not None:
                reports[worker] = _report(record)
        return dict(sorted(reports.items()))

    def say(self, key: str, command: Section) -> None:
        """Give a command.

        Raises:
            PublishError: the cluster did not take it.
        """
        write_control(self._kafka, self._topic, key, encode(command))

    def answers(
        self, patience_s: float, waiting: Callable[[int, int], None] = lambda done, of: None
    ) -> dict[str, ScorerReport | None]:
        """What the scorers that live say now; None for those that keep silent.

        Args:
            waiting: told how many of how many have answered.
        """
        # Not by its offset: a report that is only repeated is no answer.
        before = {
            worker: report.at
            for worker, report in self.reports.items()
            if report is not None and report.lives(now_ms())
        }
        until = monotonic() + patience_s
        while True:
            now = self.reports
            news = {
                worker: report if (report := now[worker]) and report.at != at else None
                for worker, at in before.items()
                if worker in now  # one that has ended took its report back
            }
            waiting(sum(each is not None for each in news.values()), len(news))
            if None not in news.values() or monotonic() > until:
                return news
            for record in self._reader.read(_READ_S):
                self._latest[record.key] = record


def _said(kind: type[_Command], record: ControlRecord | None) -> _Command | None:
    try:
        return None if record is None else read_command(kind, record)
    except CommandError as error:
        logger.warning("%s", error)
        return None


def _report(record: ControlRecord) -> ScorerReport | None:
    try:
        return read_command(ScorerReport, record)
    except CommandError:
        return None


def as_dict(report: ScorerReport | None) -> dict[str, Any] | None:
    """A report for programs."""
    return None if report is None else report.model_dump(mode="json")
