"""What was not read yet, told to the second stage: it must not take for silent what only waits."""

import logging
from collections.abc import Callable, Collection, Mapping
from time import monotonic
from typing import NamedTuple

from confluent_kafka import KafkaException

from monitoring.counting.cell_counts import ENCODE, Unread
from streams.kafka.partition import PartitionId

logger = logging.getLogger(__name__)

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

    def look(self, reached: int, counted: Collection[int]) -> tuple[list[bytes], list[bytes]]:
        """What there is to say before events up to then, ms, are counted, and behind their counts.

        Args:
            counted: partitions of these events: they wait until their counts are there.
        """
        last = self._next = self._last
        if last is not None and not self._is_due(last, reached):
            return [], []
        found = self._look(reached)
        if found is None:
            return [], []
        own = {each: found.partitions[each] + 1 for each in counted if each in found.partitions}
        waiting = Unread(found.partitions | own)
        return [ENCODE(waiting)], [ENCODE(found)]

    def at_rest(self) -> list[bytes]:
        """What there is to say while nothing comes: nothing that is known."""
        last, found = self._last, self._look(0)
        known = last is not None and found == last.found
        return [] if found is None or known else [ENCODE(found)]

    def committed(self) -> None:
        """What was said last is known now."""
        self._last = self._next

    def _is_due(self, last: _Look, reached: int) -> bool:
        return self._clock() > last.at_s + _LOOK_S or reached > last.reached + self._leap

    def _look(self, reached: int) -> Unread | None:
        self._next = self._last
        try:
            unread = self._unread()
        except KafkaException as error:  # it is away: what was said stands until it is there again
            logger.warning("can't ask what waits to be counted: %s", error.args[0].str())
            return None
        found = Unread({partition: count for (_, partition), count in unread.items()})
        if self._last is not None and self._last.found.partitions.keys() - found.partitions.keys():
            self._last = None  # others have spoken of what went, and it may come back
        reached = reached if self._last is None else max(reached, self._last.reached)
        self._next = _Look(self._clock(), reached, found)
        return found
