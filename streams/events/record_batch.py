"""A batch of decoded events, read by column."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.events.contract import EventContract


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
    """An `EventBatch` over decoded records (`msgspec` structs or any objects with attributes).

    Columns are made on first use and kept: do not change a column that you were given.

    Args:
        contract: names the id and key fields.
        records: one object per event.
        times: event times, UTC milliseconds, shape (n,).
        attributes: the attribute that holds each field, where it is not named as the field
            (a JSON name need not be a Python identifier), or is none of the contract's.
    """

    __slots__ = ("_attributes", "_columns", "_contract", "_numbers", "records", "times")

    def __init__(
        self,
        contract: EventContract,
        records: Sequence[Any],
        times: NDArray[np.int64],
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        self._contract = contract
        self._attributes = attributes or {}
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
        """Python values of a field, ``None`` where it is missing.

        Raises:
            KeyError: the contract declares no such field.
        """
        column = self._columns.get(field)
        if column is None:
            attribute = self._attributes.get(field)
            if attribute is None:
                if field not in self._contract.fields:
                    raise KeyError(f"{field!r} is not among event.fields")
                column = [getattr(record, field) for record in self.records]
            else:
                column = list(map(attrgetter(attribute), self.records))
            self._columns[field] = column
        return column

    def numbers(self, field: str) -> NDArray[np.float64]:
        """Values of a numeric or boolean field as float64, ``NaN`` where missing, shape (n,).

        Integers beyond 2**53 are rounded.

        Raises:
            KeyError: the contract declares no such field.
            TypeError: the field is a string.
        """
        column = self._numbers.get(field)
        if column is None:
            values = self.values(field)
            if self._contract.fields[field].type == "string":
                raise TypeError(f"event field {field!r} is a string, not a number")
            column = self._numbers[field] = np.array(values, dtype=np.float64)
        return column

    def take(self, order: NDArray[np.intp]) -> "RecordBatch":
        """The events at the given positions, in that order."""
        records = list(map(self.records.__getitem__, order.tolist()))
        return RecordBatch(self._contract, records, self.times[order], self._attributes)
