"""Sends dead letters back, each at most once: the record and the letter's mark in one transaction.

Whoever starts fences off a predecessor that still runs, and reads the marks only then. So neither
an interrupted run nor two at a time send a letter twice.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from confluent_kafka import KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from streams.base.clock import now_ms
from streams.base.errors import WeirError
from streams.dead_letters.reader import (
    DeadLetterReader,
    Marks,
    Progress,
    Selection,
    StoredDeadLetter,
    mark,
    silent,
)
from streams.dead_letters.sole_writer import PATIENCE_S, abort, batches, sole_writer
from streams.kafka.message import Header
from streams.transactions.errors import FencedError
from streams.transactions.patience import patiently

logger = logging.getLogger(__name__)


class RequeueError(WeirError, ValueError):
    """Letters can't be sent; the message says why."""


@dataclass
class RequeueReport:
    """What was sent, or would be.

    Attributes:
        sent: letters by the topic that they go to.
        reasons: the same letters by the reason of their rejection.
        already: letters of the selection that were requeued before.
        partial: letters that hold only a part of their record, and can't be sent.
        partial_example: where the original of one of these stands.
        stopped: it was stopped before the end.
    """

    sent: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    already: int = 0
    partial: int = 0
    partial_example: str | None = None
    stopped: bool = False

    @property
    def total(self) -> int:
        """Letters sent to all topics."""
        return sum(self.sent.values())

    def count(self, topic: str, reason: str) -> None:
        """Count one that goes to a topic."""
        self.sent[topic] = self.sent.get(topic, 0) + 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


class Requeuer:
    """Sends the letters of a selection, the oldest of each partition first.

    A record goes to the partition that it came from, or to the one that its key chooses where
    there is no such partition, or `to_topic` is given. Its Kafka timestamp is the time of sending:
    what came from the future need not come from there again.

    Args:
        to_topic: for all letters; None sends each to the topic that it came from.
        limit: at most so many.
    """

    def __init__(
        self,
        box: DeadLetterReader,
        admin: AdminClient,
        selection: Selection,
        to_topic: str | None = None,
        limit: int | None = None,
    ) -> None:
        self._box = box
        self._admin = admin
        self._selection = selection
        self._to_topic = to_topic
        self._limit = limit
        self._partitions: dict[str, int] = {}
        self._producer: Producer  # from `run` on

    def plan(
        self, reading_marks: Progress = silent, reading_letters: Progress = silent
    ) -> RequeueReport:
        """What `run` would send.

        Raises:
            RequeueError: a topic that letters would go to is missing.
            KafkaException: the cluster failed.
        """
        self._learn_partitions()
        report = RequeueReport()
        marks = self._box.marks(reading_marks)
        for stored in self._sendable(marks, report, reading_letters):
            report.count(self._target(stored)[0], stored.letter.reason)
        return report

    def run(
        self, stopping: Event, reading_marks: Progress = silent, reading_letters: Progress = silent
    ) -> RequeueReport:
        """Send them, in transactions of some hundred, until all are sent or `stopping` is set.

        Raises:
            RequeueError: a topic is missing, or refuses a record; transactions before stand.
            UnsettledError: see `sole_writer`.
            FencedError: another requeue has taken over.
            KafkaException: the cluster failed.
        """
        self._learn_partitions()
        with sole_writer(self._box, self._admin) as self._producer:
            return self._send_all(stopping, reading_marks, reading_letters)

    def _send_all(
        self, stopping: Event, reading_marks: Progress, reading_letters: Progress
    ) -> RequeueReport:
        report = RequeueReport()
        marks = self._box.marks(reading_marks)
        for batch in batches(self._sendable(marks, report, reading_letters)):
            if stopping.is_set():
                report.stopped = True
                break
            self._send(batch)
            for stored in batch:
                report.count(self._target(stored)[0], stored.letter.reason)
        return report

    def _sendable(
        self, marks: Marks, report: RequeueReport, progress: Progress
    ) -> Iterator[StoredDeadLetter]:
        left = self._limit
        for stored in self._box.letters(marks, self._selection, progress):
            if stored.requeued_ms is not None:
                report.already += 1
            elif stored.letter.is_partial:
                report.partial += 1
                report.partial_example = report.partial_example or str(stored.source)
            else:
                if left is not None:
                    if left == 0:
                        return
                    left -= 1
                yield stored

    def _learn_partitions(self) -> None:
        topics = self._admin.list_topics(timeout=15).topics
        self._partitions = {
            name: len(topic.partitions) for name, topic in topics.items() if topic.error is None
        }
        if self._to_topic is not None and self._to_topic not in self._partitions:
            raise RequeueError(f"there is no topic {self._to_topic!r}")
        if self._to_topic == self._box.topic:
            raise RequeueError(f"{self._to_topic!r} is the dead-letter topic itself")

    def _target(self, stored: StoredDeadLetter) -> tuple[str, int]:
        letter = stored.letter
        topic = self._to_topic or letter.topic
        if topic not in self._partitions:
            raise RequeueError(
                f"there is no topic {topic!r} any more, where the record {stored.source} came "
                "from: send it elsewhere with --to-topic, or choose others with --topic"
            )
        own = self._to_topic is None and letter.partition < self._partitions[topic]
        return topic, letter.partition if own else -1

    def _send(self, batch: list[StoredDeadLetter]) -> None:
        refused: list[str] = []

        def note(error: Any, message: Message) -> None:
            if error is not None:
                refused.append(f"topic {message.topic()!r}: {error.str()}")

        offsets: dict[int, list[int]] = defaultdict(list)
        try:
            self._producer.begin_transaction()
            for stored in batch:
                topic, partition = self._target(stored)
                key, value, headers = stored.letter.requeue()
                self._produce(topic, partition, key, value, headers, note)
                offsets[stored.place.partition].append(stored.place.offset)
            for partition, marked in offsets.items():
                value, headers = mark(marked, now_ms())
                self._produce(self._box.topic, partition, None, value, headers, note)
            patiently(self._producer.commit_transaction, PATIENCE_S)
        except KafkaException as error:
            if error.args[0].fatal():
                raise FencedError(
                    f"another `weir dead-letters requeue` of {self._box.topic!r} has taken over: "
                    "it sends what this one had not sent yet"
                ) from error
            abort(self._producer)
            if refused:
                raise RequeueError(
                    f"{refused[0]}; nothing of the last {len(batch):,} dead letters was sent"
                ) from error
            raise
        except BaseException:
            abort(self._producer)
            raise

    def _produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header],
        note: Any,
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition, headers=headers, on_delivery=note
                )
                return
            except BufferError:
                self._producer.poll(0.1)
