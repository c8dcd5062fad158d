"""The exactly-once loop: consume, process, produce and commit as one Kafka transaction.

What a task makes of some input, and the input's offsets, become visible together or not at all. A
task's state is a function of the input before the committed offsets. When a transaction is
aborted, the task takes back what it saw of it, and reading goes on at the committed offsets; when
partitions come, the state is restored from a snapshot and the input after it.

The order of calls follows librdkafka's own ``examples/transactions.c``. While one transaction is
committed, the next batch is computed; see `streams.transactor`.
"""

import logging
from collections.abc import Callable
from enum import IntEnum
from threading import Event
from time import monotonic, sleep
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic import Field

from streams.intake import Intake, Work, note_errors
from streams.isolation import Isolation
from streams.kafka import KafkaSettings
from streams.position import Position
from streams.reading import consume_ready
from streams.restoring import Restorer
from streams.section import Duration, Section
from streams.snapshots import Pointer, SnapshotSettings, SnapshotTaker
from streams.task import Task
from streams.transactor import Aborted, Committed, FencedError, Transactor

logger = logging.getLogger(__name__)

_BUSY_POLL_S = 0.002
_HELD_POLL_S = 0.005
_IDLE_POLL_S = 0.1
_WAIT_NOTICE_S = 10.0
_LAG_S = 0.2
_SEEK_RETRY_S = 0.01
_SEEK_PATIENCE_S = 30.0
_MAX_HEARTBEAT_MS = 3_000


class LoopSettings(Section):
    """The ``[loop]`` section.

    Attributes:
        group: consumer group; also the base of the transactional id.
        group_protocol: ``classic``, or ``consumer`` for the protocol of KIP-848, which brokers
            speak from Kafka 4.0; there the group's own settings on the broker take the place of
            `session_timeout`.
        max_batch: largest number of records in one transaction.
        max_queued: a partition with this many records waiting is read no further for a while.
        transaction_timeout: after this the cluster aborts a transaction that is still open.
        session_timeout: after this the group takes a silent member's partitions away.
    """

    group: str = "weir-scorer"
    group_protocol: Literal["classic", "consumer"] = "classic"
    max_batch: int = Field(default=2_000, ge=1)
    max_queued: int = Field(default=50_000, ge=1)
    transaction_timeout: Duration = 30_000
    session_timeout: Duration = 10_000

    def member(self) -> dict[str, str | int]:
        """How a consumer joins the group, for `KafkaSettings.consumer_config`."""
        member: dict[str, str | int] = {"group_id": self.group}
        if self.group_protocol == "consumer":
            return member | {"group_protocol": "consumer"}
        return member | {
            "partition_assignment_strategy": "cooperative-sticky",
            "session_timeout_ms": self.session_timeout,
            "heartbeat_interval_ms": min(_MAX_HEARTBEAT_MS, self.session_timeout // 3),
        }


class _Mend(IntEnum):
    """What has to be done before new work; the larger includes the smaller."""

    NOTHING = 0
    REWIND = 1
    REBUILD = 2


class ExactlyOnceLoop:
    """Runs one task over all partitions of its intake's topics.

    Args:
        new_intake: makes an empty intake; the history is read through one of its own.
        snapshot_topic: compacted topic for snapshots of the task's state; None for none.
        observe_snapshot: see `SnapshotTaker`.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: LoopSettings,
        new_intake: Callable[[], Intake],
        task: Task,
        snapshots: SnapshotSettings | None = None,
        snapshot_topic: str | None = None,
        observe_snapshot: Callable[[str, float, float, int], None] = lambda *_: None,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._new_intake = new_intake
        self._intake = new_intake()
        self._task = task
        self._snapshots = snapshots or SnapshotSettings(enabled=False)
        self._snapshot_topic = snapshot_topic or ""
        self._observe_snapshot = observe_snapshot
        self._taker: SnapshotTaker | None = None
        self._pointer: Pointer | None = None
        self._isolation = Isolation(settings.max_batch)
        self._consumer: Any = None
        self._transactor: Any = None
        self._in_flight: tuple[Callable[[Committed], None], list[Position], int] | None = None
        self._committed: list[Position] = []
        self._mend = _Mend.NOTHING
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
            MissingHistoryError: the state can't be restored, for want of input that has expired.
            KafkaException: the cluster failed in a way that a new attempt can't mend.
        """
        settings = self._settings
        self._transactor = Transactor(
            self._kafka, f"{settings.group}-fused", settings.transaction_timeout
        )
        # First of all: this ends what a killed predecessor left open, so that the offsets and the
        # history read below are final.
        self._transactor.start()
        if self._snapshots.enabled:
            self._taker = SnapshotTaker(
                self._kafka,
                self._snapshots,
                self._snapshot_topic,
                settings.group,
                self._observe_snapshot,
            )
        self._consumer = Consumer(
            self._kafka.consumer_config(
                queued_min_messages=4 * settings.max_batch, **settings.member()
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
            if self._taker is not None:
                self._taker.close()
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
            if self._mend:
                # These lie behind the offsets to go back to, and will be read again.
                messages = []
                self._ready = self._mended(stop)
                self._note_readiness()
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
            self._snapshot_now_and_then()
            work = None if self._mend else self._intake.take(self._isolation.limit)
            if work is not None:
                self._answer(work)
                timeout = 0.0
            else:
                timeout = _HELD_POLL_S if self._intake.waiting else _IDLE_POLL_S
                if self._transactor.busy:
                    timeout = _BUSY_POLL_S

    def _poll(self, timeout: float) -> list[Message]:
        return consume_ready(self._consumer, self._settings.max_batch, timeout)

    def _answer(self, work: Work) -> None:
        """Compute answers while the transaction before is still on its way, then begin theirs."""
        positions = self._intake.checkpoint()
        size = len(work.events) + len(work.labels)
        self._task.mark()
        try:
            answers = self._task.process(work)
        except (KafkaException, FencedError):
            raise
        except Exception as error:
            self._settle(wait=True)
            if not self._mend:
                self._task.check()
                self._failed(work, size, f"{type(error).__name__}: {error}")
            return
        self._settle(wait=True)
        if self._mend:
            return  # the state that these answers came from is void
        self._in_flight = answers.when_visible, positions, size
        metadata = self._pointer.metadata() if self._pointer else ""
        offsets = [
            TopicPartition(each.topic, each.partition, each.offset, metadata)
            for each in work.positions
        ]
        self._transactor.submit(answers.outgoing, offsets, self._consumer.consumer_group_metadata())
        if self._isolation.active:
            outcome = self._settle(wait=True)
            if isinstance(outcome, Aborted) and outcome.records_at_fault:
                self._condemn_if_alone(work, size, outcome.reason)

    def _failed(self, work: Work, size: int, reason: str) -> None:
        """Take a batch back that could not be answered, to find the record to blame."""
        logger.warning("a batch of %d failed, taken back: %s", size, reason)
        self._task.aborted(reason)
        self._mend = max(self._mend, _Mend.REWIND)
        self._condemn_if_alone(work, size, reason)

    def _condemn_if_alone(self, work: Work, size: int, reason: str) -> None:
        if self._isolation.failed(size):
            topic = self._intake.events_topic
            if len(work.events) != 1:
                raise RuntimeError(f"not an event is to blame, but other input: {reason}")
            self._intake.condemn(topic, int(work.partitions[0]), int(work.offsets[0]), reason)

    def _settle(self, *, wait: bool) -> Committed | Aborted | None:
        """Take note of what became of the transaction in flight."""
        outcome: Committed | Aborted | None = self._transactor.settle(wait=wait)
        if outcome is None:
            return None
        assert self._in_flight is not None
        (when_visible, positions, size), self._in_flight = self._in_flight, None
        if isinstance(outcome, Committed):
            self._task.release()
            self._committed = positions
            if self._taker is not None:
                self._taker.note_events(size)
            self._isolation.passed(size)
            when_visible(outcome)
        else:
            logger.warning("transaction aborted, back to the last commit: %s", outcome.reason)
            self._task.aborted(outcome.reason)
            self._mend = max(self._mend, _Mend.REWIND)
            if outcome.records_at_fault and not self._isolation.active:
                self._isolation.failed(size)
        return outcome

    def _snapshot_now_and_then(self) -> None:
        if self._taker is None:
            return
        self._pointer = self._taker.finished() or self._pointer
        if self._taker.due and not self._isolation.active:
            self._settle(wait=True)
            if not self._mend:
                self._taker.take(self._task.dump, self._committed)

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._mend = _Mend.REBUILD

    def _on_revoke(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        # Offsets can be committed for as long as the partitions are ours, which is until we return.
        self._settle(wait=True)
        self._mend = _Mend.REBUILD
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

    def _note_readiness(self) -> None:
        if self._ready:
            self._incomplete_since = None
        elif self._incomplete_since is None and self._was_ready:
            self._incomplete_since = monotonic()
        self._was_ready |= self._ready

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

    def _mended(self, stop: Event) -> bool:
        """Bring state and positions to the committed offsets; whether work can go on."""
        mend, self._mend = self._mend, _Mend.NOTHING
        if mend is _Mend.REWIND and self._rewind():
            return True
        return self._owns_everything() and self._rebuild(stop)

    def _rewind(self) -> bool:
        """Take back what was not committed; False if the cluster remembers something else."""
        committed = self._consumer.committed(self._consumer.assignment(), timeout=30)
        ours = {each.place: each.offset for each in self._committed}
        if any(ours.get((c.topic, c.partition)) != c.offset for c in committed if c.offset >= 0):
            return False
        self._task.undo()
        self._go_on_from(self._committed)
        return True

    def _rebuild(self, stop: Event) -> bool:
        """Restore the state at the committed offsets.

        Returns whether it came to its end: not if `stop` is set, or partitions come or go.
        """
        assignment = self._consumer.assignment()
        self._consumer.pause(assignment)

        def go_on() -> bool:
            # The group takes the partitions of a member that does not poll for long.
            self._poll(0.0)
            return not (stop.is_set() or self._mend)

        restorer = Restorer(
            self._kafka, self._snapshots, self._snapshot_topic, self._new_intake, self._task, go_on
        )
        positions = restorer.restore(self._consumer.committed(assignment, timeout=30))
        self._pointer = restorer.pointer
        if self._taker is not None:
            self._taker.start_from(restorer.pointer)
            self._taker.note_events(restorer.restored)
        if positions is None:
            return False
        self._go_on_from(positions)
        return True

    def _go_on_from(self, positions: list[Position]) -> None:
        self._committed = positions
        self._intake.assign(positions)
        for each in positions:
            # All of them: what was read and not taken, or while we waited, is to be read again.
            self._seek(TopicPartition(each.topic, each.partition, each.offset))
        self._paused = set()
        self._consumer.resume([TopicPartition(*each.place) for each in positions])

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
