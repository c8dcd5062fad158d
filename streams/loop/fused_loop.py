"""The exactly-once loop: consume, process, produce and commit as one Kafka transaction.

What a task makes of some input, and the input's offsets, become visible together or not at all. A
task's state is a function of the input before the committed offsets. When a transaction is
aborted, the task takes back what it saw of it, and reading goes on at the committed offsets; when
partitions come, the state is restored from a snapshot and the input after it.

The order of calls follows librdkafka's own ``examples/transactions.c``. While one transaction is
committed, the next batch is computed; see `streams.transactions.transactor`.
"""

import logging
from collections.abc import Callable
from enum import IntEnum
from threading import Event
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from streams.intake.input_batch import InputBatch
from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.kafka.client import KafkaSettings
from streams.kafka.consuming import note_errors
from streams.loop.bisection import Bisection
from streams.loop.group_member import GroupMember
from streams.loop.linger import Linger
from streams.loop.restorer import Restorer
from streams.loop.settings import LoopSettings
from streams.loop.stage_clock import StageClock
from streams.loop.task import Task
from streams.snapshots import Pointer, SnapshotSettings, SnapshotTaker
from streams.transactions.errors import FencedError, OutlivedError
from streams.transactions.outcome import Aborted, Committed
from streams.transactions.transactor import Transactor

logger = logging.getLogger(__name__)

_BUSY_POLL_S = 0.002
_HELD_POLL_S = 0.005
_IDLE_POLL_S = 0.1


class _Recovery(IntEnum):
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
        observe_stage: told what the loop's time is spent on; the task tells of its own by itself,
            with the work's `decode_s`.
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
        observe_stage: Callable[[str, float], None] = lambda *_: None,
    ) -> None:
        self._stages = StageClock(observe_stage)
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
        self._bisection = Bisection(settings.max_batch)
        self._linger = Linger(settings.max_wait, settings.max_batch)
        self._member: Any = None  # these two from `run` on
        self._transactor: Any = None
        self._in_flight: tuple[Callable[[Committed], None], list[Position], int] | None = None
        self._committed: list[Position] = []
        self._recovery = _Recovery.NOTHING
        self._ready = False

    def run(self, stop: Event) -> None:
        """Run until `stop` is set, then finish the transaction at hand and leave the group.

        Raises:
            FencedError: another process has taken over; nothing of ours was committed since.
            OutlivedError: a transaction took too long; a new start mends it.
            StoppedError: the transaction at hand does not end.
            MissingHistoryError: the state can't be restored, for want of input that has expired.
            KafkaException: the cluster failed in a way that a new attempt can't mend.
        """
        settings = self._settings
        self._transactor = Transactor(
            self._kafka, settings.transactional_id(), settings.transaction_timeout, stop
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
        self._member = GroupMember(
            self._kafka, settings, self._intake.topics, self._on_assign, self._on_revoke
        )
        try:
            self._loop(stop)
            self._settle(wait=True)
        except FencedError as error:
            if self._member.is_replaced():
                raise
            # To the client, both look alike.
            raise OutlivedError.after(settings.transaction_timeout) from error
        finally:
            self._transactor.close()
            if self._taker is not None:
                self._taker.close()
            self._member.close()

    @property
    def ready(self) -> bool:
        """Whether all partitions are ours and the state is complete."""
        return self._ready

    def lag(self) -> dict[tuple[str, int], int]:
        """Records of each partition that were not answered yet a moment ago; any thread may ask."""
        return self._member.lag if self._ready else {}

    def _loop(self, stop: Event) -> None:
        stages = self._stages
        stages.skip()  # what was before the loop
        timeout = _IDLE_POLL_S
        while not stop.is_set():
            messages = self._member.poll(timeout, lambda: stages.lap("wait"))
            stages.lap("consume")
            self._settle(wait=False)
            stages.lap("upkeep")
            if self._recovery:
                # These lie behind the offsets to go back to, and will be read again.
                messages = []
                self._ready = self._recovered(stop)
                self._member.note_readiness(self._ready)
                stages.lap("restore")
            if not self._ready:
                note_errors(messages)
                self._member.wait_or_give_way(self._probe)
                stages.lap("wait")
                timeout = _IDLE_POLL_S
                continue
            self._intake.feed(messages)
            stages.skip()  # the next work says how long it took
            self._member.hold_back_long_queues(self._intake.queued())
            self._member.note_lag(self._intake.positions())
            waiting = self._intake.waiting
            stages.lap("upkeep")
            # What comes until the transaction is through goes into one batch together.
            shares_next = self._transactor.busy and waiting < self._settings.max_batch // 4
            if shares_next or not self._linger.due(waiting):
                timeout = _BUSY_POLL_S
                continue
            self._snapshot_now_and_then()
            stages.lap("upkeep")
            work = None if self._recovery else self._intake.take(self._bisection.limit)
            stages.lap("merge")
            if work is not None:
                self._linger.begun()
                self._answer(work)
                timeout = 0.0
            else:
                timeout = _HELD_POLL_S if waiting else _IDLE_POLL_S
                if self._transactor.busy:
                    timeout = _BUSY_POLL_S

    def _answer(self, work: InputBatch) -> None:
        """Compute answers while the transaction before is still on its way, then begin theirs."""
        positions = self._intake.checkpoint()
        size = len(work.events) + len(work.labels)
        self._task.savepoint()
        self._stages.lap("upkeep")
        try:
            answers = self._task.process(work)
        except (KafkaException, FencedError):
            raise
        except Exception as error:
            self._settle(wait=True)
            if not self._recovery:
                self._task.check()
                self._failed(work, size, f"{type(error).__name__}: {error}")
            return
        self._stages.skip()
        self._settle(wait=True)
        if self._recovery:
            return  # the state that these answers came from is void
        self._in_flight = answers.when_visible, positions, size
        metadata = self._pointer.metadata() if self._pointer else ""
        offsets = [
            TopicPartition(each.topic, each.partition, each.offset, metadata)
            for each in work.positions
        ]
        self._transactor.submit(answers.outgoing, offsets, self._member.group_metadata())
        self._stages.lap("upkeep")
        self._stages.tell()
        if self._bisection.active:
            outcome = self._settle(wait=True)
            if isinstance(outcome, Aborted) and outcome.records_at_fault:
                self._reject_if_alone(work, size, outcome.reason)

    def _failed(self, work: InputBatch, size: int, reason: str) -> None:
        """Take a batch back that could not be answered, to find the record to blame."""
        logger.warning("a batch of %d failed, taken back: %s", size, reason)
        self._task.aborted(reason)
        self._recovery = max(self._recovery, _Recovery.REWIND)
        self._reject_if_alone(work, size, reason)

    def _reject_if_alone(self, work: InputBatch, size: int, reason: str) -> None:
        if self._bisection.failed(size):
            topic = self._intake.events_topic
            if len(work.events) != 1:
                raise RuntimeError(f"not an event is to blame, but other input: {reason}")
            self._intake.reject_on_reread(
                topic, int(work.partitions[0]), int(work.offsets[0]), reason
            )

    def _settle(self, *, wait: bool) -> Committed | Aborted | None:
        """Take note of what became of the transaction in flight."""
        outcome: Committed | Aborted | None = self._transactor.settle(wait=wait)
        self._stages.lap("commit_wait")
        if outcome is None:
            return None
        assert self._in_flight is not None
        (when_visible, positions, size), self._in_flight = self._in_flight, None
        if isinstance(outcome, Committed):
            self._task.commit()
            self._committed = positions
            if self._taker is not None:
                self._taker.note_events(size)
            self._bisection.passed(size)
            when_visible(outcome)
        else:
            logger.warning("transaction aborted, back to the last commit: %s", outcome.reason)
            self._task.aborted(outcome.reason)
            self._recovery = max(self._recovery, _Recovery.REWIND)
            if outcome.records_at_fault and not self._bisection.active:
                self._bisection.failed(size)
        return outcome

    def _snapshot_now_and_then(self) -> None:
        if self._taker is None:
            return
        self._pointer = self._taker.finished() or self._pointer
        if self._taker.due and not self._bisection.active:
            self._settle(wait=True)
            if not self._recovery:
                self._taker.take(self._task.dump, self._committed)

    def _probe(self, position: TopicPartition) -> None:
        self._transactor.probe(position, self._member.group_metadata())

    def _on_assign(self, _: object) -> None:
        self._recovery = _Recovery.REBUILD

    def _on_revoke(self, _: object) -> None:
        # Offsets can be committed for as long as the partitions are ours, which is until we return.
        self._settle(wait=True)
        self._recovery = _Recovery.REBUILD
        self._ready = False

    def _recovered(self, stop: Event) -> bool:
        """Bring state and positions to the committed offsets; whether work can go on."""
        recovery, self._recovery = self._recovery, _Recovery.NOTHING
        if recovery is _Recovery.REWIND and self._rewind():
            return True
        return self._member.owns_everything() and self._rebuild(stop)

    def _rewind(self) -> bool:
        """Take back what was not committed; False if the cluster remembers something else."""
        committed = self._member.committed()
        ours = {each.place: each.offset for each in self._committed}
        if any(ours.get((c.topic, c.partition)) != c.offset for c in committed if c.offset >= 0):
            return False
        self._task.rollback()
        self._go_on_from(self._committed)
        return True

    def _rebuild(self, stop: Event) -> bool:
        """Restore the state at the committed offsets.

        Returns whether it came to its end: not if `stop` is set, or partitions come or go.
        """
        self._member.pause_all()

        def go_on() -> bool:
            # The group takes the partitions of a member that does not poll for long.
            self._stages.lap("restore")
            self._member.poll(0.0)
            return not (stop.is_set() or self._recovery)

        restorer = Restorer(
            self._kafka,
            self._snapshots,
            self._snapshot_topic,
            self._settings.group,
            self._new_intake,
            self._task,
            go_on,
        )
        positions = restorer.restore(self._member.committed())
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
        self._member.go_on_from(positions)
