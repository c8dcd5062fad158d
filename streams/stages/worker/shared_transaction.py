"""One Kafka transaction of what several partitions have to say, and where their input goes on."""

from collections.abc import Mapping
from time import perf_counter
from typing import NamedTuple

from confluent_kafka import TopicPartition

from streams.kafka.partition import PartitionId
from streams.loop.group_member import GroupMember
from streams.snapshots import Pointer
from streams.stages.common.step import Step, with_pointer
from streams.stages.common.task import StageTask
from streams.stages.worker.own_tasks import Made
from streams.stages.worker.passed_batches import PassedBatches
from streams.stages.worker.snapshot_keeper import SnapshotKeeper
from streams.transactions.outcome import Aborted, Committed
from streams.transactions.transactor import Transactor


class InFlight(NamedTuple):
    """What a task has to say in the transaction in flight, and the snapshot it commits.

    Attributes:
        waited_s: seconds for which it waited for what others have to say.
    """

    task: StageTask
    step: Step
    pointer: Pointer | None
    waited_s: float


class SharedTransaction:
    """Begins one transaction at a time, and remembers who has a share in it.

    Args:
        keeper: knows the last snapshot of each partition, which is committed beside its offset.
        passed: knows the dead letters of batches that can't be read.
    """

    def __init__(
        self,
        transactor: Transactor,
        member: GroupMember,
        keeper: SnapshotKeeper,
        passed: PassedBatches,
    ) -> None:
        self._transactor = transactor
        self._member = member
        self._keeper = keeper
        self._passed = passed
        self._in_flight: dict[PartitionId, InFlight] = {}

    def begin(
        self, tasks: Mapping[PartitionId, StageTask], steps: Mapping[PartitionId, Made]
    ) -> None:
        """Begin one of these steps of their tasks; the one before must be settled."""
        now = perf_counter()
        self._in_flight = {
            place: InFlight(tasks[place], step, self._keeper.pointer(place), now - made_at)
            for place, (step, made_at) in steps.items()
        }
        outgoing = [out for one in self._in_flight.values() for out in one.step.outgoing]
        for place, one in self._in_flight.items():
            outgoing += self._passed.letters(place, one.step.position.offset)
        offsets = [
            TopicPartition(
                *place, one.step.position.offset, with_pointer(one.step.position, one.pointer)
            )
            for place, one in self._in_flight.items()
        ]
        self._transactor.submit(outgoing, offsets, self._member.group_metadata())

    def settle(
        self, *, wait: bool
    ) -> tuple[dict[PartitionId, InFlight], Committed | Aborted] | None:
        """What was in flight and became of it; None without anything, or if it is on its way.

        Raises:
            Exception: see `Transactor.settle`.
        """
        outcome = self._transactor.settle(wait=wait)
        if outcome is None:
            return None
        in_flight, self._in_flight = self._in_flight, {}
        return in_flight, outcome
