"""The exactly-once loop: consume, process, produce and commit as one Kafka transaction.

What a task makes of some input, and the input's offsets, become visible together or not at all. A
task's state is a function of the input before the committed offsets. When a transaction is
aborted, the task takes back what it saw of it, and reading goes on at the committed offsets; when
partitions come, the state is restored from a snapshot and the input after it.

The order of calls follows librdkafka's own ``examples/transactions.c``. While one transaction is
committed, the next batch is computed; see `streams.transactions.transactor`.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event
from time import perf_counter

from confluent_kafka import KafkaException, TopicPartition

from streams.intake.input_batch import InputBatch
from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.kafka.client import KafkaSettings
from streams.kafka.partition import PartitionId, PartitionIds
from streams.kafka.records.consuming import note_errors
from streams.loop.frame import LoopFrame
from streams.loop.fused.bisection import Bisection
from streams.loop.fused.commits import Commits, InFlight
from streams.loop.fused.recovery import Recovery
from streams.loop.fused.state_snapshots import StateSnapshots
from streams.loop.fused.task import Task
from streams.loop.linger import Linger
from streams.loop.settings import LoopSettings
from streams.loop.stage_clock import StageClock
from streams.snapshots import SnapshotSettings
from streams.transactions.errors import FencedError
from streams.transactions.outcome import Aborted, Committed

logger = logging.getLogger(__name__)

_BUSY_POLL_S = 0.002
_HELD_POLL_S = 0.005
_IDLE_POLL_S = 0.1


class FusedLoop(LoopFrame):
    """Runs one task over all partitions of its intake's topics.

    Args:
        new_intake: makes an empty intake; the history is read through one of its own.
        snapshot_topic: compacted topic for snapshots of the task's state; None for none.
        observe_snapshot: see `SnapshotTaker`.
        observe_stage: told what the loop's time is spent on; the task tells of its own by itself,
            with the work's `decode_s`.
        position_log, widen, writes: see `LoopFrame`.
    """

    # These three from `run` on.
    _snapshots: StateSnapshots
    _commits: Commits
    _recovery: Recovery

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
        writes: Sequence[str] = (),
    ) -> None:
        self._snapshot_settings = snapshots or SnapshotSettings(enabled=False)
        super().__init__(
            kafka,
            settings,
            position_log=position_log,
            tolerant=self._snapshot_settings.tolerant,
            remedy="start with `--on-missing-history warn`",
            widen=widen,
            writes=writes,
        )
        self._stages = StageClock(observe_stage)
        self._new_intake = new_intake
        self._intake = new_intake()
        self._task = task
        self._snapshot_topic = snapshot_topic or ""
        self._observe_snapshot = observe_snapshot
        self._bisection = Bisection(settings.max_batch)
        self._linger = Linger(settings.max_wait, settings.max_batch)
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
        self._snapshots = StateSnapshots(
            self._kafka,
            self._snapshot_settings,
            topic=self._snapshot_topic,
            group=self._settings.group,
            observe=self._observe_snapshot,
        )
        self._commits = Commits(self._transactor, self._member, self._snapshots)
        self._recovery = Recovery(
            member=self._member,
            growth=self._growth,
            task=self._task,
            snapshots=self._snapshots,
            new_intake=self._new_intake,
            believed=self._believed,
            go_on_from=self._go_on_from,
        )

    def _close(self) -> None:
        self._snapshots.close()

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
                self._recovery.rebuild()
            if self._recovery.due:
                # These lie behind the offsets to go back to, and will be read again.
                messages = []
                self._ready = self._nothing_in_flight() and self._recovered(stop)
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
            work = None if self._recovery.due else self._intake.take(self._bisection.limit)
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
            if not self._recovery.due:
                self._task.check()
                self._failed(work, size, f"{type(error).__name__}: {error}")
            return
        self._stages.skip()
        answered = perf_counter()
        self._settle(wait=True)
        if self._recovery.due:
            return  # the state that these answers came from is void
        waited_s = perf_counter() - answered
        in_flight = InFlight(answers.when_visible, positions, size, waited_s)
        self._commits.begin(in_flight, answers.outgoing, work.positions)
        self._stages.lap("upkeep")
        self._stages.tell()
        if self._bisection.active:
            outcome = self._settle(wait=True)
            if isinstance(outcome, Aborted) and outcome.records_at_fault:
                self._reject_if_alone(work, size, outcome.reason)

    def _commit_at_rest(self) -> None:
        """Commit how far we have read where nothing is left to answer.

        Behind a transaction's last record stands a marker, which nobody sees, and which would count
        as lag for ever.
        """
        self._settle(wait=False)
        busy = self._transactor.busy or self._recovery.due or self._bisection.active
        if busy or self._intake.waiting or not self._commits.at_rest:
            return
        positions = self._intake.checkpoint()
        moved = self._commits.moved(positions)
        if moved:
            self._task.savepoint()
            self._commits.begin(InFlight(lambda _: None, positions, 0, 0.0), [], moved)

    def _failed(self, work: InputBatch, size: int, reason: str) -> None:
        """Take a batch back that could not be answered, to find the record to blame."""
        logger.warning(
            "a batch of %d records failed, undoing it and reading it again: %s", size, reason
        )
        self._task.aborted(reason)
        self._recovery.rewind()
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

    def _nothing_in_flight(self) -> bool:
        """Whether all has an end that we have taken note of.

        One that came since the last look would else be noted once the state is another, which has
        nothing of it to keep or to take back.
        """
        if self._transactor.busy:
            return False
        self._settle(wait=False)
        return True

    def _settle(self, *, wait: bool) -> Committed | Aborted | None:
        """Take note of what became of the transaction in flight."""
        settled = self._commits.settle(wait=wait)
        self._stages.lap("commit_wait")
        if settled is None:
            return None
        in_flight, outcome = settled
        size = in_flight.records
        if isinstance(outcome, Committed):
            self._task.commit()
            self._snapshots.note_events(size)
            self._bisection.passed(size)
            in_flight.when_visible(replace(outcome, waited_s=in_flight.waited_s))
        else:
            logger.warning("transaction aborted, back to the last commit: %s", outcome.reason)
            self._task.aborted(outcome.reason)
            self._recovery.rewind()
            if outcome.records_at_fault and not self._bisection.active:
                self._bisection.failed(size)
        return outcome

    def _snapshot_now_and_then(self) -> None:
        if self._snapshots.look() and not self._bisection.active:
            self._settle(wait=True)
            if not self._recovery.due:
                self._snapshots.take(self._task.dump, self._commits.committed)

    def _probe(self, position: TopicPartition) -> None:
        self._transactor.probe(position, self._member.group_metadata())

    def _on_assigned(self, places: PartitionIds) -> None:
        self._recovery.rebuild()

    def _on_revoked(self, places: PartitionIds) -> None:
        # Offsets can be committed for as long as the partitions are ours, which is until we return.
        self._settle(wait=True)
        self._on_lost(places)

    def _on_lost(self, places: PartitionIds) -> None:
        self._recovery.rebuild()
        self._ready = False

    def _recovered(self, stop: Event) -> bool:
        """Bring state and positions to the committed offsets; whether work can go on."""

        def go_on() -> bool:
            self._stages.lap("restore")
            return not stop.is_set()

        return self._recovery.run(self._commits.committed, go_on)

    def _go_on_from(self, positions: list[Position]) -> None:
        self._commits.committed = positions
        self._intake.assign(positions)
        self._member.go_on_from(positions)
