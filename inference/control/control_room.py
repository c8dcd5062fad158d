"""Who commands: reads what stands on the control topic, gives commands, waits for the reports."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from inference.control.commands import (
    CHAMPION_KEY,
    POLICY_KEY,
    ChampionCommand,
    Command,
    CommandError,
    NewerFormatError,
    PolicyCommand,
    Withdrawal,
    command_of,
    encode,
    read_command,
)
from inference.control.reports import ScorerReport, worker_of
from inference.control.signatures import CommandKeys
from inference.control.standing import OvertakenError, Standing
from inference.policy.policy import PolicySettings
from streams.base.clock import now_ms
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlReader, ControlRecord
from streams.kafka.records.publisher import PublishError
from streams.transactions.control_writer import ControlWriter
from streams.transactions.errors import FencedError

logger = logging.getLogger(__name__)

_READ_S = 0.2
_READ_BACK_S = 30.0

_Command = TypeVar("_Command", ChampionCommand, PolicyCommand)


@dataclass(frozen=True)
class Given:
    """A command that stands on the control topic.

    Attributes:
        offset: of its record.
        before: when each scorer that lived had last said what became of a command, UTC
            milliseconds, before this one was given.
    """

    key: str
    offset: int
    before: Mapping[str, int]


class ControlRoom:
    """Reads the control topic and the reports, gives commands, and waits for scorers' words.

    A command that can't be read counts as none, as for a scorer that starts, and is logged: else
    nobody could say it again.

    Args:
        keys: of the control topic: whose commands count, and what signs ours.
        reports: the topic on which scorers say what became of commands.

    Attributes:
        champion: the model that shall answer; None where nobody has said so.
        policy: the policy that shall hold; None where nobody has said so: then the settings' one.

    Raises:
        ValueError: there is no such topic.
    """

    def __init__(self, kafka: KafkaSettings, keys: CommandKeys, reports: str) -> None:
        self._kafka, self._keys, self._topic = kafka, keys, keys.topic
        self._reader: ControlReader | None = None
        self._reports_reader = ControlReader(kafka, reports)
        try:
            self._reported = self._reports_reader.read_to_end()
            self._read_anew()
        except BaseException:
            self.close()
            raise
        self._learn()

    def close(self) -> None:
        """Leave the cluster."""
        self._leave_control()
        self._reports_reader.close()

    def policy_or(self, otherwise: PolicySettings) -> PolicySettings:
        """The policy that holds."""
        return self.policy.policy if self.policy is not None else otherwise

    def record(self, key: str) -> ControlRecord | None:
        """The latest record under another key than those of commands; nobody has looked at it."""
        return self._latest.get(key)

    @property
    def reports(self) -> dict[str, ScorerReport | None]:
        """What each scorer said last; None where that can't be read."""
        reports = {}
        for key, record in self._reported.items():
            worker = worker_of(key)
            if worker is not None and record.value is not None:
                reports[worker] = _report(record)
        return dict(sorted(reports.items()))

    def change(self, key: str, command: Command | Withdrawal) -> Given:
        """Give a command in place of what this room shows.

        Only if nobody else has changed it since the room read it: of two who give a command at the
        same moment one is refused, and a process that is killed at any step has given its command
        or has not. Where something that does not write as we do, such as a Weir before format 1,
        comes between all the same, its command stands: it was first, and the scorers refuse ours.
        It is then written once more, for those scorers that start when the log is compacted.

        Raises:
            OvertakenError: somebody else was first; their command stands, and the room shows it.
            NewerFormatError: what stands was written by a newer Weir, so we can't know what it is.
            PublishError: the cluster did not take it, or did not say whether it did.
            KafkaException: the cluster failed, or does not let us.
        """
        seen = self._latest.get(key)
        if seen is not None:
            _refuse_newer(seen)
        try:
            with ControlWriter(self._kafka, self._topic) as writer:
                self._read_anew()  # what others gave until now, and nobody gives more
                if self._latest.get(key) != seen:
                    raise OvertakenError(self._meanwhile(key))
                before = self._last_words()
                # Later than what stands, whatever the clocks say: an earlier one would not count.
                at = max(command.at, self._stands_since(key) + 1)
                value = encode(command.model_copy(update={"at": at}))
                place = writer.write(key, value, self._keys.headers(key, value))
                self._read_to(place)
                stands = self._latest.get(key)
                if stands is None or stands.offset != place[1]:
                    if stands is not None and stands.offset < place[1]:
                        self._read_to(writer.write(key, stands.value, stands.headers))
                    raise OvertakenError(self._meanwhile(key))
        except FencedError as error:
            self._read_anew()
            if self._latest.get(key) != seen:
                raise OvertakenError(self._meanwhile(key)) from error
            raise OvertakenError(
                "refused: somebody else is giving a command at the same time; look at `weir "
                "models serving` and give yours again"
            ) from error
        finally:
            self._learn()
        return Given(key, place[1], before)

    def answers(
        self,
        patience_s: float,
        waiting: Callable[[int, int], None] = lambda done, of: None,
        given: Given | None = None,
    ) -> dict[str, ScorerReport | None]:
        """What the scorers that live say now; None for those that keep silent.

        Args:
            waiting: told how many of how many have answered.
            given: the command that they answer; else whatever they say next counts.
        """
        # Not by its place: a report that is only repeated is no answer.
        before = given.before if given is not None else self._last_words()
        until = monotonic() + patience_s
        while True:
            now = self.reports
            news = {
                worker: _answer(now[worker], at, given)
                for worker, at in before.items()
                if worker in now  # one that has ended took its report back
            }
            waiting(sum(each is not None for each in news.values()), len(news))
            if None not in news.values() or monotonic() > until:
                return news
            self._hear(_READ_S)

    def _stands_since(self, key: str) -> int:
        try:
            command = command_of(self._latest[key]) if key in self._latest else None
        except CommandError:
            return 0
        return 0 if command is None else command.at

    def _hear(self, timeout_s: float) -> None:
        for record in self._reports_reader.read(timeout_s):
            self._reported[record.key] = record

    def _last_words(self) -> dict[str, int]:
        self._hear(0.0)
        return {
            worker: report.at
            for worker, report in self.reports.items()
            if report is not None and report.lives(now_ms())
        }

    def _leave_control(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _read_anew(self) -> None:
        self._leave_control()
        self._reader = ControlReader(self._kafka, self._topic)
        self._standing = Standing(self._keys)
        self._latest = self._reader.read_to_end(self._standing.counts)

    def _read(self, timeout_s: float) -> list[ControlRecord]:
        assert self._reader is not None
        records = self._reader.read(timeout_s)
        for record in records:
            if self._standing.counts(record):
                self._latest[record.key] = record
        return records

    def _read_to(self, place: tuple[int, int]) -> None:
        partition, offset = place
        until = monotonic() + _READ_BACK_S
        while all(
            record.partition != partition or record.offset < offset
            for record in self._read(_READ_S)
        ):
            if monotonic() > until:
                raise PublishError(
                    f"topic {self._topic!r}: the command was written, but can't be read back: see "
                    "with `weir models serving` whether it is in force"
                )

    def _learn(self) -> None:
        self.champion = _said(ChampionCommand, self._latest.get(CHAMPION_KEY))
        self.policy = _said(PolicyCommand, self._latest.get(POLICY_KEY))

    def _meanwhile(self, key: str) -> str:
        """Who was first, for whom comes second."""
        self._learn()
        said = self.champion if key == CHAMPION_KEY else self.policy
        done, again = (
            ("promoted", "promote again") if key == CHAMPION_KEY else ("set", "set yours again")
        )
        what = f"by {said.by}: {said.named}" if said is not None else "to none"
        return f"refused: {done} meanwhile {what}; look at `weir models serving` and {again}"


def _answer(report: ScorerReport | None, before: int, given: Given | None) -> ScorerReport | None:
    if report is None:
        return None
    if given is not None and report.heard:
        answered = report.heard.get(given.key, -1) >= given.offset
    else:  # it stands for a scorer from before format 1, too
        answered = report.at != before
    return report if answered else None


def _refuse_newer(record: ControlRecord) -> None:
    try:
        command_of(record)
    except NewerFormatError:
        raise
    except CommandError:
        return


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
