"""Cells of event time to which more may come."""

from bisect import bisect_right, insort
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitoring.counting.segments import Segments, add_segments, pack_segments, unpack_segments
from monitoring.episodes.kept import Kept

_MOST_DETAILS = 128 << 10
"""Bytes of a cell: they are of a sample of the events anyway."""
_MOST_DETAILS_IN_ALL = 64 << 20
"""Bytes of all: where one partition is caught up with, cells of weeks may be open."""


class OpenCell(NamedTuple):
    """What is counted of a cell: (features, bins), details of its events, and by segment."""

    counts: NDArray[np.int64]
    details: list[bytes]
    segments: Segments

    @property
    def events(self) -> int:
        """How many events it has."""
        return int(self.counts[0].sum())


class _Record(msgspec.Struct, array_like=True):
    counts: bytes
    details: list[bytes]
    segments: bytes = b""


_DECODER = msgspec.msgpack.Decoder(_Record)


class OpenCells:
    """The open cells of a model, by their begin, ms.

    Args:
        kept: their place in the state.
        shape: features and bins.
    """

    def __init__(self, kept: Kept, shape: tuple[int, int]) -> None:
        self._kept = kept
        self._shape = shape
        self._cells: dict[int, OpenCell] = {}
        self._held = 0
        self._touched: set[int] = set()
        for name in kept.names():
            record = _DECODER.decode(kept.get(name) or b"")
            counts = np.frombuffer(record.counts, "<i8").reshape(shape).copy()
            segments = unpack_segments(record.segments, shape)
            self._cells[int(name)] = OpenCell(counts, list(record.details), segments)
            self._held += sum(map(len, record.details))
        self._starts = sorted(self._cells)

    def add(
        self, start: int, counts: NDArray[np.int64], details: list[bytes], segments: Segments
    ) -> None:
        """Add counts to the cell that begins then; of details, as many as a record may hold."""
        if start not in self._cells:
            self._cells[start] = OpenCell(np.zeros(self._shape, np.int64), [], {})
            insort(self._starts, start)
        cell = self._cells[start]
        cell.counts[:] += counts
        held = sum(map(len, cell.details))
        for each in details:
            held += len(each)
            if held > _MOST_DETAILS or self._held + len(each) > _MOST_DETAILS_IN_ALL:
                break
            cell.details.append(each)
            self._held += len(each)
        add_segments(cell.segments, segments)
        self._touched.add(start)

    def begun(self, before: int) -> list[int]:
        """The begins of those that begin by then, rising."""
        return self._starts[: bisect_right(self._starts, before)]

    def events(self, start: int) -> int:
        """How many events the cell that begins then has."""
        return self._cells[start].events

    def pop(self, start: int) -> OpenCell:
        """Take a cell out that is over."""
        self._touched.add(start)
        self._starts.remove(start)  # one of the first
        cell = self._cells.pop(start)
        self._held -= sum(map(len, cell.details))
        return cell

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        for start in self._touched:
            cell, value = self._cells.get(start), None
            if cell is not None:
                counts = cell.counts.astype("<i8").tobytes()
                packed = _Record(counts, cell.details, pack_segments(cell.segments))
                value = msgspec.msgpack.encode(packed)
            self._kept.put(f"{start:020}", value)
        self._touched.clear()
