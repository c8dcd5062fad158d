"""The event ids that one partition has brought lately: state that tells repeats."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streams.features.hashing import Secret
from streams.features.kernels.recent_ids import (
    FLOOR,
    HEAD,
    TAIL,
    fill,
    go_back,
    move_ring,
    release,
    take_in,
)

_FIRST = 1 << 8
_LARGEST_NUMBER = (1 << 32) - 2
_NONE = np.empty(0, np.int64)

Ring = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Ids, shape (places, words), and what the clock said when each came, shape (places,)."""


class RecentIds:
    """Ids of one partition's events, each for some time after it came.

    Time is the partition's clock: the latest event time among the events that were no repeats. An
    id is a repeat while the clock, moved on by the event at hand, is no more than `within_ms` ahead
    of what it said when the id came, and the id is among the latest `most`. So what is a repeat is
    a function of the partition's events in their order alone. A repeat changes nothing.

    An int id takes 22 to 26 bytes, a text one 31 to 35: see `kernels.recent_ids`.

    Args:
        most: how many ids are remembered.
        texts: ids are strings.
        secret: that of the state which this is a part of.
    """

    def __init__(self, within_ms: int, most: int, secret: Secret, *, texts: bool) -> None:
        self._limits = within_ms, most
        self._secret = secret
        self._texts = texts
        self._ring = self._new_ring(_FIRST)
        self._table = np.zeros(2 * _FIRST, np.uint32)
        self._bounds = np.zeros(3, np.int64)
        self._settled = 0
        self._open = _NONE

    def __len__(self) -> int:
        return int(self._bounds[TAIL] - self._bounds[HEAD])

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(array.nbytes for array in (*self._ring, self._table, self._open))

    def take_in(
        self, ids: list[Any], times: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which of n events are no repeats, shape (n,); they are remembered.

        Args:
            times: event times, UTC milliseconds, shape (n,).
            offsets: ascending, and behind those of before, shape (n,).
        """
        count = len(ids)
        new = np.empty(count, np.bool_)
        self._reserve(count)
        # Copies, because numba would compile anew for an array that is read-only or strided.
        words = np.array(self._secret.exact_ids(ids, texts=self._texts))
        times = np.array(times, np.int64)
        take_in(
            words,
            times,
            self._limits,
            self._bounds,
            *self._ring,
            self._table,
            self._secret.words,
            new,
        )
        self._open = np.concatenate([self._open, offsets[new]])
        return new

    def go_back(self, offset: int) -> None:
        """Be as before the event at `offset`, none of which before has been settled."""
        count = int(np.searchsorted(self._open, offset))
        if count < self._open.size:
            tail = self._settled + count
            secret = self._secret.words
            go_back(tail, self._limits, self._bounds, *self._ring, self._table, secret)
            self._open = self._open[:count]

    def settle(self, offset: int) -> int:
        """Nobody goes back to what is before `offset`.

        Returns:
            How many ids these events have displaced that would still count if there was room.
        """
        count = int(np.searchsorted(self._open, offset))
        if not count:
            return 0
        since, self._settled = self._settled, self._settled + count
        self._open = self._open[count:].copy()
        return int(release(since, self._settled, self._limits, self._bounds, self._ring[1]))

    def dump(self) -> list[NDArray[np.int64]]:
        """What is settled: ids and clocks before the ring's end, then those behind it, as views."""
        size = self._ring[1].size
        first = int(self._bounds[FLOOR]) % size
        count = self._settled - int(self._bounds[FLOOR])
        before = slice(first, min(first + count, size))
        behind = slice(0, max(first + count - size, 0))
        return [array[part] for part in (before, behind) for array in self._ring]

    @classmethod
    def load(
        cls,
        within_ms: int,
        most: int,
        secret: Secret,
        keys: NDArray[np.int64],
        clocks: NDArray[np.int64],
    ) -> Self:
        """What was dumped under this secret, each in one piece; the latest `most` are copied."""
        loaded = cls(within_ms, most, secret, texts=keys.shape[1] > 1)
        keys, clocks = keys[-most:], clocks[-most:]
        loaded._reserve(len(clocks))
        for target, source in zip(loaded._ring, (keys, clocks), strict=True):
            target[: len(source)] = source
        loaded._bounds[TAIL] = loaded._settled = len(clocks)
        fill(loaded._bounds, loaded._ring[0], loaded._table, secret.words)
        return loaded

    def _reserve(self, added: int) -> None:
        """Make room for so many ids: the ring grows by an eighth, the table by a third."""
        held = int(self._bounds[TAIL] - self._bounds[FLOOR]) + added
        if held > self._ring[1].size:
            ring = self._new_ring(held + held // 8)
            move_ring(self._bounds, *self._ring, *ring)
            self._ring = ring
        too_many = 3 * (len(self) + added) > 2 * self._table.size
        if self._bounds[TAIL] + added > _LARGEST_NUMBER:
            # By whole rounds, so that each keeps its place in the ring.
            rounds = int(self._bounds[FLOOR]) // self._ring[1].size * self._ring[1].size
            self._bounds -= rounds
            self._settled -= rounds
        elif not too_many:
            return
        size = 2 * (len(self) + added) if too_many else self._table.size
        self._table = np.zeros(size, np.uint32)
        fill(self._bounds, self._ring[0], self._table, self._secret.words)

    def _new_ring(self, places: int) -> Ring:
        words = 2 if self._texts else 1
        return np.empty((places, words), np.int64), np.empty(places, np.int64)
