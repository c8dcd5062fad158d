"""The exactly-once loop: consume, process, produce and commit as one Kafka transaction.

What a task makes of some input, and the input's offsets, become visible together or not at all. A
task's state is a function of the input before the committed offsets. When a transaction is
aborted, the task takes back what it saw of it, and reading goes on at the committed offsets; when
partitions come, the state is restored from a snapshot and the input after it.

The order of calls follows librdkafka's own ``examples/transactions.c``. While one transaction is
committed, the next batch is computed; see `streams.transactions.transactor`.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import IntEnum
from threading import Event
from time import monotonic, perf_counter
from typing import NamedTuple

from confluent_kafka import KafkaException, TopicPartition

from streams.intake.input_batch import InputBatch
from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.kafka.client import KafkaSettings
from streams.kafka.cluster_watch import passes
from streams.kafka.consuming import note_errors
from streams.kafka.partition import PartitionId, PartitionIds
from streams.loop.bisection import Bisection
from streams.loop.frame import LoopFrame
from streams.loop.linger import Linger
from streams.loop.restorer import Restorer
from streams.loop.settings import LoopSettings
from streams.loop.stage_clock import StageClock
from streams.loop.task import Task
from streams.snapshots import Pointer, SnapshotSettings, SnapshotTaker
from streams.transactions.errors import FencedError
from streams.transactions.outcome import Aborted, Committed, Outgoing

logger = logging.getLogger(__name__)

_BUSY_POLL_S = 0.002
_HELD_POLL_S = 0.005
_IDLE_POLL_S = 0.1
_AT_REST_S = 1.0


class _Recovery(IntEnum):
    """What has to be done before new work; the larger includes the smaller."""

    NOTHING = 0
    REWIND = 1
    REBUILD = 2


class _InFlight(NamedTuple):
    """What the transaction in flight makes true: told to whom, how far each partition was taken."""

    when_visible: Callable[[Committed], None]
    positions: list[Position]
    records: int
    waited_s: float


class FusedLoop(LoopFrame):
    """Runs one task over all partitions of its intake's topics.

    Args:
        new_intake: makes an empty intake; the history is read through one of its own.
        snapshot_topic: compacted topic for snapshots of the task's state; None for none.
        observe_snapshot: see `SnapshotTaker`.
        observe_stage: told what the loop's time is spent on; the task tells of its own by itself,
            with the work's `decode_s`.
        position_log, widen: see `LoopFrame`.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: LoopSettings,
        *,
        new_intake: Callable[[], Intake],
        task: Task,
        snapshots: SnapshotSettings | None = None,
        snapshot_topic: str | None = None,
        observe_snapshot: Callable[[str, float, float, int], None] = lambda *_: None,
        observe_stage: Callable[[str, float], None] = lambda *_: None,
        position_log: str = "",
        widen: Callable[[], None] = lambda: None,
    ) -> None:
        self._snapshots = snapshots or SnapshotSettings(enabled=False)
        super().__init__(
            kafka,
            settings,
            position_log=position_log,
            tolerant=self._snapshots.on_missing_history == "warn",
            remedy="start with `--on-missing-history warn`",
            widen=widen,
        )
        self._stages = StageClock(observe_stage)
        self._new_intake = new_intake
        self._intake = new_intake()
        self._task = task
        self._snapshot_topic = snapshot_topic or ""
        self._observe_snapshot = observe_snapshot
        self._taker: SnapshotTaker | None = None
        self._pointer: Pointer | None = None
        self._bisection = Bisection(settings.max_batch)
        self._linger = Linger(settings.max_wait, settings.max_batch)
        self._in_flight: _InFlight | None = None
        self._rest_at = 0.0
        self._committed: list[Position] = []
        self._recovery = _Recovery.NOTHING
        self._ready = False

    def lag(self) -> dict[PartitionId, int]:
        """See `LoopFrame`."""
        return self._member.lag if self._ready else {}

    @property
    def _topics(self) -> list[str]:
        return self._intake.topics

    @property
    def _complete(self) -> bool:
        return self._ready

    def _open(self) -> None:
        if self._snapshots.enabled:
            self._taker = SnapshotTaker(
                self._kafka,
                settings=self._snapshots,
                topic=self._snapshot_topic,
                group=self._settings.group,
                observe=self._observe_snapshot,
            )

    def _close(self) -> None:
        if self._taker is not None:
            self._taker.close()

    def _loop(self, stop: Event) -> None:
        stages = self._stages
        stages.skip()  # what was before the loop
        timeout = _IDLE_POLL_S
        while not stop.is_set():
            messages = self._member.poll(timeout, lambda: stages.lap("wait"))
            stages.lap("consume")
            self._settle(wait=False)
            stages.lap("upkeep")
            if self._growth.look():
                self._ready = False
                self._recovery = _Recovery.REBUILD
            if self._recovery:
                # These lie behind the offsets to go back to, and will be read again.
                messages = []
                self._ready = not self._transactor.busy and self._recovered(stop)
                self._member.note_readiness(self._ready)
                stages.lap("restore")
            if not self._ready:
                note_errors(messages)
                if not self._transactor.busy:
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
                self._commit_at_rest()
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
        answered = perf_counter()
        self._settle(wait=True)
        if self._recovery:
            return  # the state that these answers came from is void
        waited_s = perf_counter() - answered
        self._in_flight = _InFlight(answers.when_visible, positions, size, waited_s)
        self._submit(answers.outgoing, work.positions)
        self._stages.lap("upkeep")
        self._stages.tell()
        if self._bisection.active:
            outcome = self._settle(wait=True)
            if isinstance(outcome, Aborted) and outcome.records_at_fault:
                self._reject_if_alone(work, size, outcome.reason)

    def _submit(self, outgoing: Sequence[Outgoing], positions: Iterable[TopicPartition]) -> None:
        metadata = self._pointer.metadata() if self._pointer else ""
        offsets = [
            TopicPartition(each.topic, each.partition, each.offset, metadata) for each in positions
        ]
        self._rest_at = monotonic() + _AT_REST_S
        self._transactor.submit(outgoing, offsets, self._member.group_metadata())

    def _commit_at_rest(self) -> None:
        """Commit how far we have read where nothing is left to answer.

        Behind a transaction's last record stands a marker, which nobody sees, and which would count
        as lag for ever.
        """
        self._settle(wait=False)
        at_rest = not (self._transactor.busy or self._recovery or self._bisection.active)
        if not at_rest or self._intake.waiting or monotonic() < self._rest_at:
            return
        positions = self._intake.checkpoint()
        offsets = {each.place: each.offset for each in self._committed}
        moved = [each for each in positions if each.offset > offsets[each.place]]
        if moved:
            self._task.savepoint()
            self._in_flight = _InFlight(lambda _: None, positions, 0, 0.0)
            self._submit([], [TopicPartition(*each.place, each.offset) for each in moved])

    def _failed(self, work: InputBatch, size: int, reason: str) -> None:
        """Take a batch back that could not be answered, to find the record to blame."""
        logger.warning(
            "a batch of %d records failed, undoing it and reading it again: %s", size, reason
        )
        self._task.aborted(reason)
        self._recovery = max(self._recovery, _Recovery.REWIND)
        self._reject_if_alone(work, size, reason)

    def _reject_if_alone(self, work: InputBatch, size: int, reason: str) -> None:
        if self._bisection.failed(size):
            topic = self._intake.events_topic
            if len(work.events) != 1:
                raise RuntimeError(
                    "the record that fails is no event, so it can't go to the dead letters: "
                    f"{reason}"
                )
            self._intake.reject_on_reread(
                topic, int(work.partitions[0]), int(work.offsets[0]), reason
            )

    def _settle(self, *, wait: bool) -> Committed | Aborted | None:
        """Take note of what became of the transaction in flight."""
        outcome = self._transactor.settle(wait=wait)
        self._stages.lap("commit_wait")
        if outcome is None:
            return None
        assert self._in_flight is not None
        in_flight, self._in_flight = self._in_flight, None
        size = in_flight.records
        if isinstance(outcome, Committed):
            self._task.commit()
            self._committed = in_flight.positions
            if self._taker is not None:
                self._taker.note_events(size)
            self._bisection.passed(size)
            in_flight.when_visible(replace(outcome, waited_s=in_flight.waited_s))
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

    def _on_assigned(self, places: PartitionIds) -> None:
        self._recovery = _Recovery.REBUILD

    def _on_revoked(self, places: PartitionIds) -> None:
        # Offsets can be committed for as long as the partitions are ours, which is until we return.
        self._settle(wait=True)
        self._on_lost(places)

    def _on_lost(self, places: PartitionIds) -> None:
        self._recovery = _Recovery.REBUILD
        self._ready = False

    def _recovered(self, stop: Event) -> bool:
        """Bring state and positions to the committed offsets; whether work can go on."""
        recovery, self._recovery = self._recovery, _Recovery.NOTHING
        try:
            if recovery is _Recovery.REWIND and self._rewind():
                return True
            if self._growth.due and not self._growth.settle():
                return False
            return self._member.owns_everything() and self._rebuild(stop)
        except KafkaException as error:
            if not passes(error):
                raise
            logger.warning("can't restore the state yet, trying again: %s", error.args[0].str())
            self._recovery = _Recovery.REBUILD
            return False

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
            settings=self._snapshots,
            snapshot_topic=self._snapshot_topic,
            group=self._settings.group,
            new_intake=self._new_intake,
            task=self._task,
            go_on=go_on,
        )
        committed = self._member.committed()
        self._refuse_gone(committed)
        positions = restorer.restore(committed)
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
