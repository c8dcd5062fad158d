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
_AGAIN_S = 60.0
"""What was said of the partitions of others, as they said it themselves, stands for no longer."""


class _Look(NamedTuple):
    """When it was looked, up to which event time events were counted then, and what was found.

    `said_s` is when that was said last. `others` is what is said of the partitions of others;
    `spoken`, whether that was ever said.
    """

    at_s: float
    said_s: float
    reached: int
    found: dict[int, int]
    others: dict[int, int]
    spoken: bool


class UnreadWatch:
    """Looks now and then, and whenever event time leaps, as it does where a worker catches up.

    At first it speaks of all partitions: others may begin later than we do, and what they have not
    counted by then waits, too. From then on each speaks of its own.

    What is said counts from `committed` on: a transaction that is taken back has said nothing.

    Args:
        unread: of each partition that is ours, records that were not read; asks the cluster.
        elsewhere: the same of partitions that are not ours.
        leap: event time, ms.
        clock: seconds.
    """

    def __init__(
        self,
        unread: Callable[[], Mapping[PartitionId, int]],
        elsewhere: Callable[[], Mapping[PartitionId, int]],
        leap: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._unread = unread
        self._elsewhere = elsewhere
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
        seen = self._look(reached)
        if seen is None:
            return [], []
        waiting = seen.others | seen.found
        own = {each: seen.found[each] + 1 for each in counted if each in seen.found}
        return [ENCODE(Unread(waiting | own))], [ENCODE(Unread(waiting))]

    def at_rest(self) -> list[bytes]:
        """What there is to say while nothing comes: seldom what is known."""
        last, seen = self._last, self._look(0)
        if seen is None or not seen.found:  # who has no partition speaks of none
            return []
        known = last is not None and seen.found == last.found and not seen.others
        if last is not None and known and self._clock() < last.said_s + _AGAIN_S:
            self._next = seen._replace(said_s=last.said_s)
            return []
        return [ENCODE(Unread(seen.others | seen.found))]

    def committed(self) -> None:
        """What was said last is known now."""
        self._last = self._next

    def _is_due(self, last: _Look, reached: int) -> bool:
        return self._clock() > last.at_s + _LOOK_S or reached > last.reached + self._leap

    def _look(self, reached: int) -> _Look | None:
        """What waits of our partitions, and of others where we have not spoken of them yet."""
        self._next = self._last
        try:
            found = _by_number(self._unread())
            if self._last is not None and self._last.found.keys() - found.keys():
                self._last = None  # others have spoken of what went, and it may come back
        except KafkaException as error:  # it is away: what was said stands until it is there again
            logger.warning("can't ask what waits to be counted: %s", error.args[0].str())
            return None
        spoken, others = self._last is not None and self._last.spoken, dict[int, int]()
        if found and not spoken:
            try:
                others, spoken = _by_number(self._elsewhere()), True
            except KafkaException as error:  # of ours it is said all the same
                why = error.args[0].str()
                logger.warning("can't ask what waits in the partitions of others: %s", why)
        reached = reached if self._last is None else max(reached, self._last.reached)
        now = self._clock()
        self._next = _Look(now, now, reached, found, others, spoken)
        return self._next


def _by_number(unread: Mapping[PartitionId, int]) -> dict[int, int]:
    return {partition: count for (_, partition), count in unread.items()}
