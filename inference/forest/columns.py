"""Columns that trees compare and rows do not have: sets of categories, odd missing values.

With them every split of a forest is a number against a threshold, in each form that it is answered
in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError

ZERO = float(np.float32(1e-35))
"""What LightGBM takes for zero, on either side (its ``kZeroThreshold``)."""

_LARGEST_TABLE = 1 << 24


class TreeError(InferenceError):
    """An ensemble that cannot be read, or not be said in the form that is asked for."""


@dataclass(frozen=True, order=True)
class ZeroIsMissing:
    """A feature whose zeros are missing values too."""

    feature: int


@dataclass(frozen=True, order=True)
class Membership:
    """1 where a feature is one of some categories, else 0; ``NaN`` where it is missing.

    Categories are whole numbers from 0 on. Trainers cut a fraction off (2.5 is category 2) before
    they look; with `exact`, 2.5 is no category. What is negative is none either.
    """

    feature: int
    exact: bool
    categories: tuple[int, ...]


DerivedColumn = ZeroIsMissing | Membership


@dataclass(frozen=True, eq=False)
class MembershipTable:
    """The memberships of one feature, looked up at once.

    Attributes:
        feature: whose categories.
        exact: as in `Membership`.
        table: float32 (c + 1, m), one column per set, a row per category; the last row, of zeros,
            is for all that is no category of any set.
    """

    feature: int
    exact: bool
    table: NDArray[np.float32]

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the columns (n, m) of rows (n, k)."""
        x = rows[:, self.feature]
        last = len(self.table) - 1
        known = (x >= 0) & (x < last)
        if self.exact:
            known &= x == np.trunc(x)
        columns = self.table[np.where(known, x, last).astype(np.intp)]
        columns[np.isnan(x)] = np.nan
        return columns


class DerivedColumns:
    """The derived columns of a forest, in their order.

    Args:
        columns: sorted: those of zeros first, then memberships by feature.

    Raises:
        TreeError: there are too many categories to look them up in a table.
    """

    def __init__(self, columns: Sequence[DerivedColumn]) -> None:
        self.count = len(columns)
        self.zeros = [column.feature for column in columns if isinstance(column, ZeroIsMissing)]
        members = [column for column in columns if isinstance(column, Membership)]
        self.tables = [
            _table(feature, exact, [column.categories for column in group])
            for (feature, exact), group in groupby(members, lambda c: (c.feature, c.exact))
        ]

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows (n, k) with their derived columns beside them (n, k + d)."""
        if not self.count:
            return rows
        zeros = rows[:, self.zeros]
        zeros[np.abs(zeros) <= ZERO] = np.nan
        return np.concatenate([rows, zeros, *(table(rows) for table in self.tables)], axis=1)


def _table(feature: int, exact: bool, sets: list[tuple[int, ...]]) -> MembershipTable:
    largest = max((category for categories in sets for category in categories), default=-1)
    if (largest + 2) * len(sets) > _LARGEST_TABLE:
        raise TreeError(
            f"feature {feature} has {len(sets)} categorical splits with categories up to {largest},"
            " too many to be looked up: number its categories densely from 0, or merge the rare"
        )
    table = np.zeros((largest + 2, len(sets)), np.float32)
    for column, categories in enumerate(sets):
        table[list(categories), column] = 1
    return MembershipTable(feature, exact, table)
