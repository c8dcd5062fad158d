"""Rows that come and go, in the state of a partition: 1,024 of them under one key."""

import numpy as np
from numpy.typing import NDArray

from streams.loop.stateless.keyed_state import PartitionState

_CHUNK = 1_024


class RowChunks:
    """Rows of one type; the newest chunk is written again as it grows, the others stay.

    Args:
        prefix: of the keys; behind it stands the chunk's number.
        dtype: has a field `time` where `take` or `drop` are called.
    """

    def __init__(self, state: PartitionState, prefix: bytes, dtype: np.dtype[np.void]) -> None:
        self._state = state
        self._prefix = prefix
        self._chunks: dict[int, NDArray[np.void]] = {
            int(key[len(prefix) :]): np.frombuffer(value, dtype)
            for key, value in state.items()
            if key.startswith(prefix)
        }
        self._dtype = dtype
        self._next = max(self._chunks, default=-1) + 1

    def __len__(self) -> int:
        return sum(map(len, self._chunks.values()))

    @property
    def rows(self) -> NDArray[np.void]:
        """All of them, (n,)."""
        return np.concatenate([np.empty(0, self._dtype), *self._chunks.values()])

    def append(self, rows: NDArray[np.void]) -> None:
        """Keep further rows."""
        last = self._chunks.get(self._next - 1)
        if last is not None and len(last) < _CHUNK:
            rows = np.concatenate([last, rows])
            self._next -= 1
        for begin in range(0, len(rows), _CHUNK):
            self._put(self._next, rows[begin : begin + _CHUNK])
            self._next += 1

    def take(self, until: int) -> NDArray[np.void]:
        """Rows up to this time, which are kept no more, (n,)."""
        taken = [np.empty(0, self._dtype)]
        for number, rows in list(self._chunks.items()):
            due = rows["time"] <= until
            if due.any():
                taken.append(rows[due])
                self._put(number, rows[~due])
        return np.concatenate(taken)

    def drop(self, until: int) -> bool:
        """Forget rows up to this time, of chunks where few are later; whether there were any."""
        dropped = False
        for number, rows in list(self._chunks.items()):
            left = rows["time"] > until
            if 8 * np.count_nonzero(left) < len(rows):
                self._put(number, rows[left])
                dropped = True
        return dropped

    def replace(self, rows: NDArray[np.void]) -> None:
        """Keep these, and no others."""
        self.clear()
        self.append(rows)

    def clear(self) -> None:
        """Keep none."""
        for number in list(self._chunks):
            self._put(number, self._chunks[number][:0])

    def _put(self, number: int, rows: NDArray[np.void]) -> None:
        key = self._prefix + b"%d" % number
        if len(rows):
            value = rows.tobytes()
            self._chunks[number] = np.frombuffer(value, self._dtype)
            self._state.put(key, value)
        elif self._chunks.pop(number, None) is not None:
            self._state.put(key, None)
