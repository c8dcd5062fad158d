"""A batch of decoded events, read by column."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.contract import EventContract


class EventBatch(Protocol):
    """Events in order of processing, read by column whatever they were decoded from."""

    @property
    def times(self) -> NDArray[np.int64]:
        """Event times, UTC milliseconds, shape (n,)."""

    @property
    def ids(self) -> list[Any]:
        """Event ids, ``int`` or ``str`` as the contract says."""

    @property
    def keys(self) -> list[Any]:
        """Values of the contract's key field."""

    def __len__(self) -> int: ...

    def values(self, field: str) -> list[Any]:
        """Python values of a field, ``None`` where it is missing."""

    def numbers(self, field: str) -> NDArray[np.float64]:
        """Values of a numeric or boolean field, ``NaN`` where missing, shape (n,)."""

    def take(self, order: NDArray[np.intp]) -> "EventBatch":
        """The events at the given positions, in that order."""


class RecordBatch:
    """An `EventBatch` over decoded records (`msgspec` structs or any objects with attributes)."""

    __slots__ = ("_columns", "_contract", "_numbers", "records", "times")

    def __init__(
        self, contract: EventContract, records: Sequence[Any], times: NDArray[np.int64]
    ) -> None:
        self._contract = contract
        self.records = records
        self.times = times
        self._columns: dict[str, list[Any]] = {}
        self._numbers: dict[str, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        return len(self.records)

    @property
    def ids(self) -> list[Any]:
        """Event ids."""
        return self.values(self._contract.id)

    @property
    def keys(self) -> list[Any]:
        """Values of the key field."""
        return self.values(self._contract.key)

    def values(self, field: str) -> list[Any]:
        """Python values of a field, ``None`` where it is missing."""
        column = self._columns.get(field)
        if column is None:
            column = self._columns[field] = [getattr(record, field) for record in self.records]
        return column

    def numbers(self, field: str) -> NDArray[np.float64]:
        """Values of a numeric or boolean field as float64, ``NaN`` where missing."""
        column = self._numbers.get(field)
        if column is None:
            column = self._numbers[field] = np.array(self.values(field), dtype=np.float64)
        return column

    def take(self, order: NDArray[np.intp]) -> "RecordBatch":
        """The events at the given positions, in that order."""
        records = self.records
        return RecordBatch(self._contract, [records[i] for i in order], self.times[order])
