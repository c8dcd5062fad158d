"""Which rows of a file are no events, and why.

A row counts as rejected for the first thing found wrong, in the order in which the stream looks:
its time, then the fields in the contract's order. So a file and a stream reject the same events.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.events.rejection import Reason

_ROWS_NAMED = 5


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """Rows of a file that are no events, for one reason.

    Attributes:
        reason: what the stream calls it.
        field: the column at fault.
        count: how many rows.
        rows: the first few of them; the first row of a file is 1, a CSV's header not counted.
        detail: what is wrong with the first of them, and what to do.
    """

    reason: Reason
    field: str
    count: int
    rows: tuple[int, ...]
    detail: str

    def __str__(self) -> str:
        named = ", ".join(map(str, self.rows)) + (", …" if self.count > len(self.rows) else "")
        rows = "row" if self.count == 1 else "rows"
        return (
            f"{self.count:,} {rows} left out: {self.reason} in {self.field!r} ({rows} {named}); "
            f"row {self.rows[0]}: {self.detail}"
        )


class RowChecks:
    """The first thing found wrong with each of `rows` rows."""

    def __init__(self, rows: int) -> None:
        self._verdicts = np.zeros(rows, np.int16)
        self._found: list[tuple[Reason, str]] = []

    def reject(self, wrong: NDArray[np.bool_], reason: Reason, field: str) -> None:
        """Note the rows that are `wrong`, shape (rows,), unless they were found wrong before."""
        fresh = wrong & (self._verdicts == 0)
        if fresh.any():
            if (reason, field) not in self._found:
                self._found.append((reason, field))
            self._verdicts[fresh] = 1 + self._found.index((reason, field))

    @property
    def good(self) -> NDArray[np.bool_]:
        """The rows with which nothing is wrong."""
        good: NDArray[np.bool_] = self._verdicts == 0
        return good

    def summary(self, explain: Callable[[str, int], str]) -> tuple[RejectedRows, ...]:
        """What was rejected, by reason and column.

        Args:
            explain: says what is wrong with a column in a row, counted from 0.
        """
        found = []
        for number, (reason, field) in enumerate(self._found, start=1):
            rows = np.flatnonzero(self._verdicts == number)
            first = tuple((rows[:_ROWS_NAMED] + 1).tolist())
            detail = explain(field, int(rows[0]))
            found.append(RejectedRows(reason, field, len(rows), first, detail))
        return tuple(found)
