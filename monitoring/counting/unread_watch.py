"""What was not read yet, told to the second stage: it must not take for silent what only waits."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import NamedTuple

from monitoring.counting.cell_counts import ENCODE, Unread
from streams.kafka.partition import PartitionId

_LOOK_S = 1.0


class _Look(NamedTuple):
    """When it was looked, up to which event time events were counted then, and what was found."""

    at_s: float
    reached: int
    found: Unread


class UnreadWatch:
    """Looks now and then, and whenever event time leaps, as it does where a worker catches up.

    What is said counts from `committed` on: a transaction that is taken back has said nothing.

    Args:
        unread: of each partition that is ours, records that were not read; asks the cluster.
        leap: event time, ms.
        clock: seconds.
    """

    def __init__(
        self,
        unread: Callable[[], Mapping[PartitionId, int]],
        leap: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._unread = unread
        self._leap = leap
        self._clock = clock
        self._last: _Look | None = None
        self._next: _Look | None = None

    def look(self, reached: int) -> list[bytes]:
        """What there is to say before events up to then, ms, are counted."""
        last = self._next = self._last
        due = last is None or self._clock() > last.at_s + _LOOK_S
        if not due and last is not None and reached <= last.reached + self._leap:
            return []
        return [ENCODE(self._look(reached).found)]

    def at_rest(self) -> list[bytes]:
        """What there is to say while nothing comes: nothing that is known."""
        last = self._last
        found = self._look(0).found
        return [] if last is not None and found == last.found else [ENCODE(found)]

    def committed(self) -> None:
        """What was said last is known now."""
        self._last = self._next

    def _look(self, reached: int) -> _Look:
        found = Unread({partition: count for (_, partition), count in self._unread().items()})
        reached = reached if self._last is None else max(reached, self._last.reached)
        self._next = _Look(self._clock(), reached, found)
        return self._next
