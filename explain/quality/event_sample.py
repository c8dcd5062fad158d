"""A random sample of the events of a topic, whatever its length, in the memory of the sample."""

import heapq
from collections.abc import Iterable

import numpy as np
import xxhash
from numpy.typing import NDArray

_Kept = tuple[int, int, int, NDArray[np.float32]]
"""Priority, negated, since a heap gives away its least; partition, offset, and features."""


class EventSample:
    """Keeps the `size` events whose hashes are the least: each event is as likely as any other.

    The same seed chooses the same events, in whatever order they come; one that comes twice counts
    twice and is kept once.

    Args:
        size: events at most.
        seed: of the choice.

    Attributes:
        seen: events so far.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._seed = seed
        self._heap: list[_Kept] = []
        self._places: set[tuple[int, int]] = set()
        self.seen = 0

    def add(self, partition: int, offsets: Iterable[int], rows: NDArray[np.float32]) -> None:
        """Look at events of a partition, with their offsets and features (n, k)."""
        for offset, row in zip(offsets, rows, strict=True):
            self.seen += 1
            place = (partition, int(offset))
            priority = xxhash.xxh3_64_intdigest(f"{self._seed} {partition} {offset}".encode())
            full = len(self._heap) >= self._size
            if place in self._places or (full and priority >= -self._heap[0][0]):
                continue
            if full:
                _, *gone, _ = heapq.heappop(self._heap)
                self._places.discard((gone[0], gone[1]))
            heapq.heappush(self._heap, (-priority, *place, row.copy()))
            self._places.add(place)

    def rows(self) -> NDArray[np.float32]:
        """The features (m, k) of the sample, ascending in partition and offset."""
        chosen = sorted(self._heap, key=lambda kept: kept[1:3])
        return np.array([kept[3] for kept in chosen], np.float32)
