"""Answered events that wait until they are mature, in a partition's state."""

import numpy as np
from numpy.typing import NDArray

from inference.shadow.joining.known_labels import by_hash
from inference.shadow.joining.row_chunks import RowChunks
from monitoring.performance.cohorts.truth import ROW
from streams.loop.stateless.keyed_state import PartitionState

_INDEX = np.dtype([(name, ROW[name]) for name in ("hash", "time", "group")])
_SORT = 65_536
_MOST_HALVINGS = 32


class Waiting:
    """Rows of `ROW`, and which ids are among them.

    Args:
        prefix: of their keys.
        most: rows; where more would wait, half of them stay, chosen by their hashes, and again.
        halvings: of 2^k events one waits now.
    """

    def __init__(self, state: PartitionState, prefix: bytes, most: int, halvings: int) -> None:
        self.halvings = halvings
        self._most = most
        self._chunks = RowChunks(state, prefix, ROW)
        self._parts: list[NDArray[np.void]] = []
        self._sort()

    def __len__(self) -> int:
        return len(self._chunks)

    @property
    def rows(self) -> NDArray[np.void]:
        """All of them, (n,)."""
        return self._chunks.rows

    def add(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Let further events wait; those that must not, be they of these or of earlier ones."""
        if self.halvings and len(self) < self._most // 4:
            self.halvings -= 1
        chosen = self.may_wait(rows["hash"])
        self._chunks.append(rows[chosen])
        self._parts.append(_index(rows[chosen]))
        shed = [rows[~chosen]]
        while len(self) > self._most and self.halvings < _MOST_HALVINGS:
            self.halvings += 1
            before = self._chunks.rows
            chosen = self.may_wait(before["hash"])
            shed.append(before[~chosen])
            self._chunks.replace(before[chosen])
            self._sort()
        if sum(map(len, self._parts[1:])) > max(_SORT, len(self._parts[0]) // 8):
            self._sort()
        return np.concatenate(shed)

    def take(self, until: int) -> NDArray[np.void]:
        """Events up to this time, ms, which wait no more, (n,)."""
        taken = self._chunks.take(until)
        if len(taken):
            self._parts = [part[part["time"] > until] for part in self._parts]
        return taken

    def may_wait(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of n events may wait, by their hashes, (n,)."""
        return np.asarray(hashes <= np.uint64(2 ** (64 - self.halvings) - 1))

    def find(
        self, hashes: NDArray[np.uint64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """Which of n hashes are of events here, their times, ms, and their groups, (n,) each."""
        found = np.zeros(len(hashes), np.bool_)
        times, groups = np.zeros(len(hashes), np.int64), np.zeros(len(hashes), np.int64)
        for part in self._parts:
            if len(part):
                places = np.searchsorted(part["hash"], hashes).clip(max=len(part) - 1)
                own = (part["hash"][places] == hashes) & ~found
                found |= own
                times[own], groups[own] = (part[name][places[own]] for name in ("time", "group"))
        return found, times, groups

    def _sort(self) -> None:
        self._parts = [_index(self._chunks.rows)]


def _index(rows: NDArray[np.void]) -> NDArray[np.void]:
    index = np.empty(len(rows), _INDEX)
    for name in ("hash", "time", "group"):
        index[name] = rows[name]
    return by_hash(index)
