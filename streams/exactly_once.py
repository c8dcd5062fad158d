"""The exactly-once loop: consume, process, produce and commit as one Kafka transaction.

What a task makes of some input, and the input's offsets, become visible together or not at all. A
task's state is a function of the input before the committed offsets, so whatever goes wrong is
mended in one way: abort, go back to the committed offsets, rebuild the state from what lies before
them, go on.

The order of calls follows librdkafka's own ``examples/transactions.c``. While one transaction is
committed, the next batch is computed; see `streams.transactor`.
"""

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from time import monotonic, sleep
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic import Field

from streams.history import read_history
from streams.intake import Intake, Work, note_errors
from streams.kafka import KafkaSettings, watermarks
from streams.section import Duration, Section
from streams.transactor import Aborted, Committed, FencedError, Outgoing, Transactor

logger = logging.getLogger(__name__)

_BUSY_POLL_S = 0.002
_HELD_POLL_S = 0.005
_IDLE_POLL_S = 0.1
_WAIT_NOTICE_S = 10.0
_LAG_S = 0.2
_SEEK_RETRY_S = 0.01
_SEEK_PATIENCE_S = 30.0


class LoopSettings(Section):
    """The ``[loop]`` section.

    Attributes:
        group: consumer group; also the base of the transactional id.
        max_batch: largest number of records in one transaction.
        max_queued: a partition with this many records waiting is read no further for a while.
        transaction_timeout: after this the cluster aborts a transaction that is still open.
        session_timeout: after this the group takes a silent member's partitions away.
    """

    group: str = "weir-scorer"
    max_batch: int = Field(default=2_000, ge=1)
    max_queued: int = Field(default=50_000, ge=1)
    transaction_timeout: Duration = 30_000
    session_timeout: Duration = 10_000


@dataclass(frozen=True)
class Answers:
    """What a task makes of some work.

    Attributes:
        outgoing: records to be produced.
        when_visible: called once they are committed.
    """

    outgoing: list[Outgoing]
    when_visible: Callable[[Committed], None]


class Task(Protocol):
    """What a loop does with its input."""

    def reset(self) -> None:
        """Forget all state."""

    def restore(self, work: Work) -> None:
        """Take work that was answered before into the state, and answer nothing."""

    def process(self, work: Work) -> Answers:
        """Take work into the state and answer it."""

    def aborted(self, reason: str) -> None:
        """Note that a transaction was aborted; `reset` and `restore` follow."""


class ExactlyOnceLoop:
    """Runs one task over all partitions of its intake's topics.

    Args:
        new_intake: makes an empty intake; the history is read through one of its own.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: LoopSettings,
        new_intake: Callable[[], Intake],
        task: Task,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._new_intake = new_intake
        self._intake = new_intake()
        self._task = task
        self._consumer: Any = None
        self._transactor: Any = None
        self._when_visible: Callable[[Committed], None] = lambda committed: None
        self._must_rebuild = False
        self._ready = False
        self._paused: set[tuple[str, int]] = set()
        self._last_notice = 0.0
        self._was_ready = False
        self._incomplete_since: float | None = None
        self._lag: dict[tuple[str, int], int] = {}
        self._lag_at = 0.0

    def run(self, stop: Event) -> None:
        """Run until `stop` is set, then finish the transaction at hand and leave the group.

        Raises:
            FencedError: another process has taken over; nothing of ours was committed since.
            KafkaException: the cluster failed in a way that a new attempt can't mend.
        """
        settings = self._settings
        self._transactor = Transactor(
            self._kafka, f"{settings.group}-fused", settings.transaction_timeout
        )
        # First of all: this ends what a killed predecessor left open, so that the offsets and the
        # history read below are final.
        self._transactor.start()
        self._consumer = Consumer(
            self._kafka.consumer_config(
                group_id=settings.group,
                partition_assignment_strategy="cooperative-sticky",
                session_timeout_ms=settings.session_timeout,
                heartbeat_interval_ms=settings.session_timeout // 3,
                queued_min_messages=4 * settings.max_batch,
            )
        )
        try:
            self._consumer.subscribe(
                self._intake.topics,
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_revoke,
            )
            self._loop(stop)
            self._settle(wait=True)
        finally:
            self._transactor.close()
            self._consumer.close()

    @property
    def ready(self) -> bool:
        """Whether all partitions are ours and the state is complete."""
        return self._ready

    def lag(self) -> dict[tuple[str, int], int]:
        """Records of each partition that were not answered yet a moment ago; any thread may ask."""
        return self._lag if self._ready else {}

    def _note_lag(self) -> None:
        """Look now and then, in this thread: a consumer that is polled keeps others waiting."""
        if monotonic() - self._lag_at < _LAG_S:
            return
        self._lag_at = monotonic()
        lag = {}
        for (topic, partition), position in self._intake.positions().items():
            place = TopicPartition(topic, partition)
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            lag[topic, partition] = max(0, high - position)
        self._lag = lag

    def _loop(self, stop: Event) -> None:
        timeout = _IDLE_POLL_S
        while not stop.is_set():
            messages = self._poll(timeout)
            self._settle(wait=False)
            if self._must_rebuild:
                # These lie behind the offsets to go back to, and will be read again.
                messages = []
                self._must_rebuild = False
                self._ready = self._owns_everything() and self._rebuild(stop)
                if self._ready:
                    self._incomplete_since = None
                elif self._incomplete_since is None and self._was_ready:
                    self._incomplete_since = monotonic()
                self._was_ready |= self._ready
            if not self._ready:
                note_errors(messages)
                self._notice_waiting()
                self._give_way()
                timeout = _IDLE_POLL_S
                continue
            self._intake.feed(messages)
            self._hold_back_long_queues()
            self._note_lag()
            if self._transactor.busy and self._intake.waiting < self._settings.max_batch // 4:
                # What comes until the transaction is through goes into one batch together.
                timeout = _BUSY_POLL_S
                continue
            work = self._intake.take(self._settings.max_batch)
            if work is not None:
                self._answer(work)
                timeout = 0.0
            else:
                timeout = _HELD_POLL_S if self._intake.waiting else _IDLE_POLL_S
                if self._transactor.busy:
                    timeout = _BUSY_POLL_S

    def _poll(self, timeout: float) -> list[Message]:
        """What has come, waiting for the first message only.

        ``consume(n)`` would wait for all of its n messages until the timeout.
        """
        messages: list[Message] = self._consumer.consume(1, timeout)
        if messages:
            messages += self._consumer.consume(self._settings.max_batch - 1, 0.0)
        return messages

    def _answer(self, work: Work) -> None:
        """Compute answers while the transaction before is still on its way, then begin theirs."""
        answers = self._task.process(work)
        self._settle(wait=True)
        if self._must_rebuild:
            return  # the state that these answers came from is void
        self._when_visible = answers.when_visible
        self._transactor.submit(
            answers.outgoing, work.positions, self._consumer.consumer_group_metadata()
        )

    def _settle(self, *, wait: bool) -> None:
        """Take note of what became of the transaction in flight."""
        outcome = self._transactor.settle(wait=wait)
        if isinstance(outcome, Committed):
            self._when_visible(outcome)
        elif isinstance(outcome, Aborted):
            logger.warning("transaction aborted, back to the last commit: %s", outcome.reason)
            self._task.aborted(outcome.reason)
            self._must_rebuild = True

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._must_rebuild = True

    def _on_revoke(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        # Offsets can be committed for as long as the partitions are ours, which is until we return.
        self._settle(wait=True)
        self._must_rebuild = True
        self._ready = False

    def _owns_everything(self) -> bool:
        """Whether every partition of every topic is ours.

        Windows of an entity need all its events in one place, so a part is not worth starting with.
        """
        ours = {(each.topic, each.partition) for each in self._consumer.assignment()}
        known = self._consumer.list_topics(timeout=30).topics
        return all(
            (topic, partition) in ours
            for topic in self._intake.topics
            for partition in known[topic].partitions
        )

    def _notice_waiting(self) -> None:
        if monotonic() - self._last_notice > _WAIT_NOTICE_S:
            self._last_notice = monotonic()
            ours = [f"{each.topic}[{each.partition}]" for each in self._consumer.assignment()]
            logger.info(
                "waiting for all partitions of %s; ours so far: %s",
                ", ".join(self._intake.topics),
                ", ".join(ours) or "none",
            )

    def _give_way(self) -> None:
        """End if partitions that were ours stay with somebody else.

        A newcomer waits until it owns everything; without this, both would wait for ever, and
        having nothing to commit, the elder would not even learn that it was fenced off.
        """
        patience_s = self._settings.session_timeout / 1_000
        if self._incomplete_since and monotonic() - self._incomplete_since > patience_s:
            raise FencedError(
                f"another member of group {self._settings.group!r} took partitions over and kept "
                "them: run one scorer per group, or give this one another loop.group"
            )

    def _rebuild(self, stop: Event) -> bool:
        """Go back to the committed offsets and rebuild the state from what lies before them.

        Returns whether it came to its end: not if `stop` is set, or partitions come or go.
        """
        start = monotonic()
        assignment = self._consumer.assignment()
        committed = self._consumer.committed(assignment, timeout=30)
        for each in committed:
            if each.error is not None:
                raise KafkaException(each.error)
            if each.offset < 0:
                each.offset, _ = watermarks(self._consumer, each)
        self._task.reset()
        restored = 0
        history = read_history(self._kafka.consumer_config(), self._new_intake(), committed)
        with closing(history):
            for work in history:
                self._task.restore(work)
                restored += len(work.events)
                # The group takes the partitions of a member that does not poll for long.
                self._poll(0.0)
                if stop.is_set() or self._must_rebuild:
                    return False
        self._intake.assign(committed)
        for each in committed:
            # All of them: what was read and not taken, or while we waited, is to be read again.
            self._seek(each)
        self._paused = set()
        self._consumer.resume(committed)
        logger.info("state of %d events rebuilt in %.1f s", restored, monotonic() - start)
        return True

    def _seek(self, place: TopicPartition) -> None:
        """Read on from there; a partition that was just assigned takes a moment to allow it."""
        deadline = monotonic() + _SEEK_PATIENCE_S
        while True:
            try:
                self._consumer.seek(place)
                return
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE or monotonic() > deadline:
                    raise
                sleep(_SEEK_RETRY_S)

    def _hold_back_long_queues(self) -> None:
        queued = self._intake.queued()
        limit = self._settings.max_queued
        long = {place for place, count in queued.items() if count >= limit} - self._paused
        short = {place for place in self._paused if queued.get(place, 0) <= limit // 2}
        if long:
            self._consumer.pause([TopicPartition(*place) for place in long])
        if short:
            self._consumer.resume([TopicPartition(*place) for place in short])
        self._paused = (self._paused | long) - short
