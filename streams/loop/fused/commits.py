"""How far the input is committed, and the one transaction that is about to commit more of it."""

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import NamedTuple

from confluent_kafka import TopicPartition

from streams.intake.position import Position
from streams.loop.fused.state_snapshots import StateSnapshots
from streams.loop.group_member import GroupMember
from streams.transactions.outcome import Aborted, Committed, Outgoing
from streams.transactions.transactor import Transactor

_AT_REST_S = 1.0


class InFlight(NamedTuple):
    """What the transaction in flight makes true: told to whom, how far each partition was taken."""

    when_visible: Callable[[Committed], None]
    positions: list[Position]
    records: int
    waited_s: float


class Commits:
    """Commits input of all partitions of a group, one transaction at a time.

    Args:
        snapshots: the newest of these is named beside each offset.

    Attributes:
        committed: how far each partition is committed.
    """

    def __init__(
        self, transactor: Transactor, member: GroupMember, snapshots: StateSnapshots
    ) -> None:
        self._transactor = transactor
        self._member = member
        self._snapshots = snapshots
        self._in_flight: InFlight | None = None
        self._rest_at = 0.0
        self.committed: list[Position] = []

    def begin(
        self, in_flight: InFlight, outgoing: Sequence[Outgoing], offsets: Iterable[TopicPartition]
    ) -> None:
        """Begin a transaction; the one before must be settled.

        Args:
            offsets: where the partitions go on of which something was taken.
        """
        pointer = self._snapshots.pointer
        metadata = pointer.metadata() if pointer else ""
        marked = [
            TopicPartition(each.topic, each.partition, each.offset, metadata) for each in offsets
        ]
        self._in_flight = in_flight
        self._rest_at = monotonic() + _AT_REST_S
        self._transactor.submit(outgoing, marked, self._member.group_metadata())

    def settle(self, *, wait: bool) -> tuple[InFlight, Committed | Aborted] | None:
        """What became of the transaction in flight; None without one, or if it is on its way.

        Raises:
            Exception: see `Transactor.settle`.
        """
        outcome = self._transactor.settle(wait=wait)
        if outcome is None:
            return None
        assert self._in_flight is not None
        in_flight, self._in_flight = self._in_flight, None
        if isinstance(outcome, Committed):
            self.committed = in_flight.positions
        return in_flight, outcome

    @property
    def at_rest(self) -> bool:
        """Whether no transaction has begun for so long that a position alone is worth one."""
        return monotonic() >= self._rest_at

    def moved(self, positions: Iterable[Position]) -> list[TopicPartition]:
        """Those of the positions that are ahead of what is committed."""
        offsets = {each.place: each.offset for each in self.committed}
        return [
            TopicPartition(*each.place, each.offset)
            for each in positions
            if each.offset > offsets[each.place]
        ]
