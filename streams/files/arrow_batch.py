"""A batch of events over Arrow columns, as a file gives them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streams.events.contract import EventContract


class ColumnBatch:
    """An `EventBatch` over Arrow columns; a slice of it copies nothing.

    Args:
        contract: names the id and key fields.
        times: event times, UTC milliseconds, shape (n,).
        columns: an Arrow array of int64, float64, bool or large_string for each field.
    """

    __slots__ = ("_columns", "_contract", "times")

    def __init__(
        self, contract: EventContract, times: NDArray[np.int64], columns: Mapping[str, Any]
    ) -> None:
        self._contract = contract
        self._columns = columns
        self.times = times

    def __len__(self) -> int:
        return len(self.times)

    @property
    def ids(self) -> list[Any]:
        """Event ids."""
        return self.values(self._contract.id)

    @property
    def keys(self) -> list[Any]:
        """Values of the key field."""
        return self.values(self._contract.key)

    def column(self, field: str) -> Any:
        """The Arrow array of a field.

        Raises:
            KeyError: the contract declares no such field.
        """
        if field not in self._columns:
            raise KeyError(f"{field!r} is not among event.fields")
        return self._columns[field]

    def values(self, field: str) -> list[Any]:
        """Python values of a field, ``None`` where it is missing.

        Raises:
            KeyError: the contract declares no such field.
        """
        column = self.column(field)
        # Through numpy: `to_pylist` makes an object per value twice, and is ten times slower.
        if pa.types.is_large_string(column.type):
            texts: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
            return texts
        empty = False if pa.types.is_boolean(column.type) else 0
        filled = column.fill_null(empty) if column.null_count else column
        values: list[Any] = filled.to_numpy(zero_copy_only=False).tolist()
        if column.null_count:
            for row in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
                values[row] = None
        return values

    def numbers(self, field: str) -> NDArray[np.float64]:
        """Values of a numeric or boolean field as float64, ``NaN`` where missing, shape (n,).

        Integers beyond 2**53 are rounded.

        Raises:
            KeyError: the contract declares no such field.
            TypeError: the field is a string.
        """
        column = self.column(field)
        if pa.types.is_large_string(column.type):
            raise TypeError(f"event field {field!r} is a string, not a number")
        if not column.null_count:
            raw: NDArray[Any] = column.to_numpy(zero_copy_only=False)
            return raw.astype(np.float64)
        empty = False if pa.types.is_boolean(column.type) else 0
        numbers: NDArray[np.float64] = (
            column.fill_null(empty).to_numpy(zero_copy_only=False).astype(np.float64)
        )
        numbers[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
        return numbers

    def slice(self, start: int, stop: int) -> "ColumnBatch":
        """The events from position `start` up to `stop`, without copying them."""
        columns = {name: each.slice(start, stop - start) for name, each in self._columns.items()}
        return ColumnBatch(self._contract, self.times[start:stop], columns)

    def take(self, order: NDArray[np.intp]) -> "ColumnBatch":
        """The events at the given positions, in that order."""
        places = pa.array(order, pa.int64())
        columns = {name: each.take(places) for name, each in self._columns.items()}
        return ColumnBatch(self._contract, self.times[order], columns)
