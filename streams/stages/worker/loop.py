"""The loop of a staged worker: any share of the partitions of all stages, exactly once.

What a worker's partitions have to say at a moment, and where their input goes on, is one Kafka
transaction. If it is aborted, they take back what they saw of it. Partitions come and go one by
one: when one comes, its state is restored from its last snapshot and its own records, up to what
the group has committed for it, while the others go on.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event
from time import monotonic

from confluent_kafka import KafkaException, Message

from streams.events.rejection import Rejected
from streams.features.state import FeatureState
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.committed_offsets import OffsetAsker
from streams.kafka.partition import PartitionId, PartitionIds
from streams.kafka.records.consuming import note_errors
from streams.kafka.topics.topic_partitions import partitions_of
from streams.loop.frame import LoopFrame
from streams.loop.linger import Linger
from streams.loop.settings import LoopSettings
from streams.loop.stage_clock import StageClock
from streams.snapshots import SnapshotSettings
from streams.snapshots.writer import Observe, observe_nothing
from streams.stages.common.messages import MessageError
from streams.stages.common.step import position_of
from streams.stages.common.task import StageTask
from streams.stages.worker.own_tasks import OwnTasks
from streams.stages.worker.partition_startup import PartitionStartup
from streams.stages.worker.passed_batches import PassedBatches
from streams.stages.worker.shared_transaction import SharedTransaction
from streams.stages.worker.snapshot_keeper import SnapshotKeeper
from streams.stages.worker.stage_restorer import StageRestorer
from streams.transactions.errors import RecordRefusedError
from streams.transactions.outcome import Committed

logger = logging.getLogger(__name__)

_BUSY_POLL_S = 0.002
_HELD_POLL_S = 0.01
_IDLE_POLL_S = 0.1
_OBSERVE_S = 1.0
_COMMITTED_S = 2.0
_AT_REST_S = 1.0


class StagedLoop(LoopFrame):
    """Runs a task for each partition that the group gives to this worker.

    A worker that shares nothing, since there are more workers than partitions, is ready, too.

    Args:
        topics: of all stages.
        new_task: makes the task of a topic's partition.
        committed, aborted: told of each transaction's end.
        observe: told now and then which windows there are.
        claim: returns when the group may be joined, or its argument is set; see `Migration`, also
            for what `run` raises besides.
        snapshots, snapshot_topic: when windows are written down, and where; without, never.
        observe_snapshot: see `streams.snapshots.writer.Observe`.
        note_restored: told how many events were read again to restore windows.
        observe_stage: told what the loop's time is spent on, but for tasks without a `stage`.
        position_log, widen, writes: see `LoopFrame`.
        dead_letters: topic, for batches that can't be read.
        rejected: told which of these went there, once that is visible.
    """

    # These three from `run` on.
    _keeper: SnapshotKeeper
    _shared: SharedTransaction
    _startup: PartitionStartup

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: LoopSettings,
        *,
        topics: Sequence[str],
        new_task: Callable[[str, int], StageTask],
        committed: Callable[[Committed], None],
        aborted: Callable[[str], None],
        observe: Callable[[list[FeatureState]], None],
        claim: Callable[[Event], None],
        snapshots: SnapshotSettings | None = None,
        snapshot_topic: str = "",
        observe_snapshot: Observe = observe_nothing,
        note_restored: Callable[[int], None] = lambda _: None,
        observe_stage: Callable[[str, float], None] = lambda *_: None,
        position_log: str = "",
        widen: Callable[[], None] = lambda: None,
        writes: Sequence[str] = (),
        dead_letters: str,
        rejected: Callable[[list[Rejected]], None] = lambda _: None,
    ) -> None:
        super().__init__(
            kafka,
            settings,
            position_log=position_log,
            tolerant=False,  # what the stages commit beside an offset can't be made up
            remedy="stop all workers and start them with another loop.group and a new "
            "stages.prefix",
            widen=widen,
            writes=writes,
        )
        self._stages = StageClock(observe_stage)
        self._read_topics = list(topics)
        self._linger = Linger(settings.max_wait, settings.max_batch)
        self._new_task = new_task
        self._note_committed = committed
        self._note_aborted = aborted
        self._observe = observe
        self._claim = claim
        self._snapshots = snapshots or SnapshotSettings(enabled=False)
        self._snapshot_topic = snapshot_topic
        self._observe_snapshot = observe_snapshot
        self._restorer = StageRestorer(
            kafka, self._snapshots, snapshot_topic, settings.group, note_restored
        )
        self._passed = PassedBatches(dead_letters, rejected)
        self._tasks = OwnTasks(self._passed, self._stages)
        self._observe_at = self._rest_at = 0.0

    def lag(self) -> dict[PartitionId, int]:
        """See `LoopFrame`."""
        return self._member.lag if self._at_work else {}

    @property
    def _topics(self) -> list[str]:
        return self._read_topics

    @property
    def _complete(self) -> bool:
        return self._member.joined and not self._startup.any

    def _before_joining(self, stop: Event) -> None:
        self._claim(stop)

    def _open(self) -> None:
        self._keeper = self._new_keeper()
        self._shared = SharedTransaction(self._transactor, self._member, self._keeper, self._passed)
        asker = OffsetAsker(self._kafka, self._settings.group)
        self._startup = PartitionStartup(
            self._member, self._new_task, self._restorer, asker, self._believed
        )

    def _close(self) -> None:
        self._startup.close()
        self._keeper.close()
        self._restorer.close()

    def _loop(self, stop: Event) -> None:
        while not stop.is_set():
            self._round()

    def _round(self) -> None:
        timeout = _HELD_POLL_S if self._tasks.waiting or self._startup.any else _IDLE_POLL_S
        messages = self._member.poll(
            _BUSY_POLL_S if self._transactor.busy else timeout, lambda: self._stages.lap("wait")
        )
        self._stages.lap("consume")
        self._settle(wait=False)
        note_errors(messages)
        if self._growth.look():
            self._take_up_partitions()
            return
        self._feed(messages)  # before any task is made anew: these were read for those of before
        self._startup.begin()
        self._take_up_newcomers()
        self._tasks.hold_sources(self._settings.max_queued)
        self._member.hold_back_long_queues(self._tasks.queued)
        self._member.note_lag(self._tasks.next_offsets())
        self._stages.lap("upkeep")
        if self._transactor.busy:
            return
        self._settle(wait=True)
        self._keeper.write_one(self._tasks.by_place)
        if self._linger.due(self._tasks.waiting):
            self._submit()

    def _feed(self, messages: Sequence[Message]) -> None:
        try:
            self._tasks.feed(messages)
        except MessageError:
            # Another worker may have seen sooner that a source has got partitions.
            if not self._growth.look_now():
                raise

    def _take_up_partitions(self) -> None:
        """Begin all tasks anew, for more source partitions than they knew of."""
        self._settle(wait=True)
        ours = self._member.assignment
        self._on_lost(ours)
        if self._growth.settle():
            self._on_assigned(ours)
            self._member.look_for_partitions()

    def _submit(self) -> None:
        """Begin a transaction of what all tasks have to say, or of where they are at rest."""
        self._stages.lap("upkeep")
        steps = self._tasks.take(self._settings.max_batch)
        if steps:
            self._linger.begun()
        if steps or monotonic() >= self._rest_at:
            steps |= self._tasks.rest(but=steps)
        if steps:
            self._rest_at = monotonic() + _AT_REST_S
            self._shared.begin(self._tasks.by_place, steps)
            self._stages.lap("upkeep")
            self._stages.tell()

    def _settle(self, *, wait: bool) -> None:
        """Take note of what became of the transaction in flight."""
        settled = self._shared.settle(wait=wait)
        self._stages.lap("commit_wait")
        if settled is None:
            return
        in_flight, outcome = settled
        tasks = self._tasks.by_place
        # A partition may be gone by now, and even back, with another task.
        ours = {place for place, one in in_flight.items() if tasks.get(place) is one.task}
        if isinstance(outcome, Committed):
            for place, (_, step, pointer, waited_s) in in_flight.items():
                step.when_visible(replace(outcome, waited_s=waited_s))
                if place in ours:
                    self._tasks.commit(place, step.position)
                    self._passed.committed(place, step.position.offset)
                    self._keeper.note_committed(place, pointer, step.rows)
            if any(one.step.outgoing for one in in_flight.values()):
                self._note_committed(outcome)
            if monotonic() >= self._observe_at:
                self._observe_at = monotonic() + _OBSERVE_S
                self._observe([state for task in tasks.values() for state in task.states])
            return
        if outcome.records_at_fault:
            raise RecordRefusedError(
                f"the cluster refuses what was made of some records ({outcome.reason}): see "
                "max.message.bytes of the topics that this process writes to"
            )
        logger.warning("transaction aborted, back to the last commit: %s", outcome.reason)
        self._note_aborted(outcome.reason)
        self._undo(ours)

    def _undo(self, places: PartitionIds) -> None:
        """Take back what was not committed; begin anew where the group remembers something else."""
        try:
            committed = {
                (each.topic, each.partition): position_of(each)[0]
                for each in self._member.committed(places, _COMMITTED_S)
                if each.error is None
            }
        except KafkaException:
            committed = {}
        for place in places:
            if place not in committed or not self._tasks.rollback(place, committed[place]):
                self._on_lost([place])
                self._on_assigned([place])

    def _on_assigned(self, places: PartitionIds) -> None:
        self._startup.assigned(places)

    def _on_revoked(self, places: PartitionIds) -> None:
        # Offsets can be committed for as long as the partitions are ours, which is until we return.
        self._settle(wait=True)
        self._on_lost(places)

    def _on_lost(self, places: PartitionIds) -> None:
        # What is in flight may hang, and the others wait for us to join them again.
        for place in places:
            self._startup.forget(place)
            self._keeper.forget(place)
            self._passed.forget(place)
            self._tasks.forget(place)

    def _take_up_newcomers(self) -> None:
        for restoring in self._startup.restored():
            self._tasks.add(restoring)
        for restoring in self._startup.caught_up():
            stateful = restoring.task.stateful
            if stateful is not None:
                self._keeper.begin(restoring.place, restoring.pointer, stateful.restored)

    def _new_keeper(self) -> SnapshotKeeper:
        settings, topic = self._settings, self._snapshot_topic
        partitions = partitions_of(connect(self._kafka), [topic]).get(topic, 0)
        return SnapshotKeeper(
            self._kafka,
            self._snapshots,
            topic=topic,
            partitions=partitions,
            group=settings.group,
            transactional_id=settings.transactional_id(),
            transaction_ms=settings.transaction_timeout,
            member=lambda: self._member.group_metadata(),
            observe=self._observe_snapshot,
        )
