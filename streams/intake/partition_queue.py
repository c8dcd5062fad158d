"""One partition's queue in the time-aligned merge; see `streams.intake.time_merge`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streams.intake.position import NO_TIME

NO_LIMIT = np.iinfo(np.int64).max
"""Behind all event times."""

TIME, OFFSET, ARRIVED = 0, 1, 2
"""Rows of the numbers that go with records: event time (ms), offset, when it was stamped (ms)."""


@dataclass
class PartitionQueue:
    """The records of one partition that wait to be merged, ascending in offset.

    Attributes:
        items: the records; what they are is the reader's business.
        numbers: TIME, OFFSET and ARRIVED of each, int64, shape (3, n).
        merge_times: event times by which they queue: a late record's is that of the one before it,
            so that it waits no longer and keeps its place. Shape (n,).
        reached: no later record of this partition queues before this time.
        caught_up: the partition has nothing more to read for now.
        idle: it has been silent for so long that nobody waits for it.
        began_at: event time of the first record, None before that.
    """

    topic: str
    partition: int
    is_event: bool
    next_offset: int
    items: list[object] = field(default_factory=list)
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty((3, 0), np.int64))
    merge_times: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    reached: int = NO_TIME
    caught_up: bool = False
    idle: bool = False
    spoke: bool = False
    quiet_since: int = 0
    began_at: int | None = None

    def add(
        self,
        items: Sequence[object],
        numbers: NDArray[np.int64],
        next_offset: int,
        floors: NDArray[np.int64] | None = None,
    ) -> None:
        """Queue what was read; `next_offset` is behind all of it, bad records too.

        Args:
            floors: for each item the time that was reached when it was sent, by its producer's
                word, shape (n,).
        """
        if len(items):
            times = numbers[TIME] if floors is None else np.maximum(numbers[TIME], floors)
            merge_times = np.maximum(np.maximum.accumulate(times), self.reached)
            self.reached = int(merge_times[-1])
            if self.began_at is None:
                self.began_at = int(numbers[TIME, 0])
            self.items.extend(items)
            self.merge_times = np.concatenate([self.merge_times, merge_times])
            self.numbers = np.concatenate([self.numbers, numbers], axis=1)
        self.next_offset = next_offset
        self.caught_up = False
        self.idle = False
        self.spoke = True

    def completed_to(self, time: int) -> None:
        """Note the producer's word that all records up to and with `time` have been sent."""
        self.reached = max(self.reached, time + 1)
        self.idle = False
        self.spoke = True

    def before(self, time: int) -> int:
        """How many queued records have a merge time before `time`."""
        if time == NO_LIMIT:
            return len(self.items)
        return int(np.searchsorted(self.merge_times, time, side="left"))

    def first_from(self, time: int) -> int:
        """When the first record that queues at `time` or later does."""
        place = self.before(time)
        return int(self.merge_times[place]) if place < self.merge_times.size else NO_LIMIT

    def drop(self, count: int) -> None:
        """Forget the first `count` records: they were taken."""
        del self.items[:count]
        self.merge_times = self.merge_times[count:]
        self.numbers = self.numbers[:, count:]

    def put_back(
        self, items: Sequence[object], numbers: NDArray[np.int64], merge_times: NDArray[np.int64]
    ) -> None:
        """Queue again, in front, what was dropped last."""
        self.items[:0] = items
        self.merge_times = np.concatenate([merge_times, self.merge_times])
        self.numbers = np.concatenate([numbers, self.numbers], axis=1)

    @property
    def place(self) -> tuple[str, int]:
        """Topic and partition."""
        return self.topic, self.partition

    @property
    def position(self) -> int:
        """Where reading goes on if what waits here is forgotten."""
        numbers = self.numbers  # once: the lag is asked for by another thread
        return int(numbers[OFFSET, 0]) if numbers.shape[1] else self.next_offset

    @property
    def reached_at_position(self) -> int:
        """What `reached` has to be when reading goes on there, for the same merge times."""
        return int(self.merge_times[0]) if self.merge_times.size else self.reached
