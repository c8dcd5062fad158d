"""What the control topic says: which model and policy shall answer, and what scorers report."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from inference.commands import (
    CHAMPION,
    POLICY,
    ChampionCommand,
    CommandError,
    PolicyCommand,
    ScorerReport,
    encode,
    read_command,
    worker_of,
)
from inference.policy import PolicySettings
from streams.clock import now_ms
from streams.control import ControlReader, ControlRecord, write_control
from streams.kafka import KafkaSettings
from streams.section import Section

_READ_S = 0.2


@dataclass(frozen=True)
class Reported:
    """A scorer's last report; None where it can't be read."""

    offset: int
    report: ScorerReport | None


class ControlRoom:
    """Reads the control topic, gives commands, and waits for what scorers say to them.

    Raises:
        ValueError: there is no such topic.
        CommandError: the champion or the policy can't be read.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka, self._topic = kafka, topic
        self._reader = ControlReader(kafka, topic)
        self._latest: dict[str, ControlRecord] = self._reader.read_to_end()

    def close(self) -> None:
        """Leave the cluster."""
        self._reader.close()

    @property
    def champion(self) -> ChampionCommand | None:
        """The model that shall answer; None where nobody has said so."""
        record = self._latest.get(CHAMPION)
        return read_command(ChampionCommand, record) if record is not None else None

    @property
    def policy(self) -> PolicyCommand | None:
        """The policy that shall hold; None where nobody has said so: then the settings' one."""
        record = self._latest.get(POLICY)
        return read_command(PolicyCommand, record) if record is not None else None

    def policy_or(self, otherwise: PolicySettings) -> PolicySettings:
        """The policy that holds."""
        said = self.policy
        return said.policy if said is not None else otherwise

    @property
    def reports(self) -> dict[str, Reported]:
        """What each scorer said last."""
        reports = {}
        for key, record in self._latest.items():
            worker = worker_of(key)
            if worker is not None and record.value is not None:
                reports[worker] = Reported(record.offset, _report(record))
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
        before = {
            worker: each.offset
            for worker, each in self.reports.items()
            if each.report is not None and each.report.lives(now_ms())
        }
        until = monotonic() + patience_s
        while True:
            now = self.reports
            news = {
                worker: now[worker].report
                if worker in now and now[worker].offset > offset
                else None
                for worker, offset in before.items()
                if worker in now  # one that has ended took its report back
            }
            waiting(sum(each is not None for each in news.values()), len(news))
            if None not in news.values() or monotonic() > until:
                return news
            for record in self._reader.read(_READ_S):
                self._latest[record.key] = record


def _report(record: ControlRecord) -> ScorerReport | None:
    try:
        return read_command(ScorerReport, record)
    except CommandError:
        return None


def as_dict(report: ScorerReport | None) -> dict[str, Any] | None:
    """A report for programs."""
    return None if report is None else report.model_dump(mode="json")
