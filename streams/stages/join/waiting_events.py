"""The events of a join that wait, and the features of them that have come."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.features.feature_rows import FeatureRows
from streams.stages.common.record_queue import RecordQueue


class TakenEvents(NamedTuple):
    """Events that were taken, ascending in offset, and all that was known of them.

    Attributes:
        rows: n events, as their router wrote them.
        offsets: of the source partition, shape (n,).
        matrix: their features, shape (n, width); NaN where no stage computes one.
        flags: late and approximate, shape (n, 2).
        records: of the log, and how many of the events came in each.
    """

    rows: list[Any]
    offsets: NDArray[np.int64]
    matrix: NDArray[np.float64]
    flags: NDArray[np.bool_]
    records: list[tuple[int, int]]


class WaitingEvents:
    """A queue of events; each can be taken once all parts of its features have come.

    Args:
        width: how many features an event has.
        parts: how many stages compute some of them.
    """

    def __init__(self, width: int, parts: int) -> None:
        self._records = RecordQueue()
        self._rows: list[Any] = []
        self._offsets = np.empty(0, np.int64)
        self._matrix = np.empty((0, width))
        self._flags = np.empty((0, 2), np.bool_)
        self._filled = np.empty((0, parts), np.bool_)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def first(self) -> Any | None:
        """The first event, as its router wrote it."""
        return self._rows[0] if self._rows else None

    @property
    def first_record(self) -> int | None:
        """Offset in the log of the first record with events that wait."""
        return self._records.first

    def add(self, record: int, rows: Sequence[Any]) -> None:
        """Queue events of the record at this offset of the log."""
        count = len(rows)
        if not count:
            return
        self._records.add(record, count)
        self._rows += rows
        self._offsets = np.append(self._offsets, [row.offset for row in rows])
        self._matrix = _extended(self._matrix, np.nan, count)
        self._flags = _extended(self._flags, False, count)
        self._filled = _extended(self._filled, False, count)

    def missing(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some source offsets whose events do not wait."""
        return offsets[~np.isin(offsets, self._offsets)]

    def fill(
        self, part: int, columns: NDArray[np.intp], offsets: NDArray[np.int64], rows: FeatureRows
    ) -> None:
        """Note a part of the features of events that wait.

        Args:
            part: counts the stages.
            columns: where in the whole vector the part's features stand.
            offsets: the events' source offsets, shape (n,).
            rows: n rows of the part's features.
        """
        at = np.searchsorted(self._offsets, offsets)
        self._matrix[np.ix_(at, columns)] = rows.matrix
        self._flags[at] |= np.stack([rows.late, rows.approximate], axis=1)
        self._filled[at, part] = True

    def complete(self, limit: int) -> int:
        """How many of the first `limit` events can be taken, up to the first that lacks a part."""
        lacking = np.flatnonzero(~self._filled[:limit].all(axis=1))
        return int(lacking[0]) if lacking.size else min(limit, len(self._rows))

    def take(self, count: int) -> TakenEvents:
        """Take the first events."""
        taken = TakenEvents(
            self._rows[:count],
            self._offsets[:count],
            self._matrix[:count],
            self._flags[:count],
            self._records.take(count),
        )
        self._rows = self._rows[count:]
        self._offsets, self._matrix = self._offsets[count:], self._matrix[count:]
        self._flags, self._filled = self._flags[count:], self._filled[count:]
        return taken

    def put_back(self, taken: TakenEvents) -> None:
        """Undo a `take`."""
        self._rows = taken.rows + self._rows
        self._offsets = np.concatenate([taken.offsets, self._offsets])
        self._matrix = np.concatenate([taken.matrix, self._matrix])
        self._flags = np.concatenate([taken.flags, self._flags])
        filled = np.ones((len(taken.rows), self._filled.shape[1]), np.bool_)
        self._filled = np.concatenate([filled, self._filled])
        self._records.put_back(taken.records)


def _extended(array: NDArray[Any], value: float, count: int) -> NDArray[Any]:
    return np.concatenate([array, np.full((count, array.shape[1]), value, array.dtype)])
