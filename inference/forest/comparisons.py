"""Splits as ``x > threshold``, with missing values already where they go."""

import numpy as np

from inference.forest.forest import Forest

HIGH, LOW, MARK = 0, 1, 2
"""What a column of compared rows has for ``NaN``: infinity, minus infinity; or 1, and else 0."""


class Comparisons:
    """Every split as ``x > threshold`` (to the right), free of ``NaN``.

    Each column stands up to three times in the rows that are compared: with infinity for ``NaN``,
    which goes right; with minus infinity, which goes left; and as a mark of ``NaN`` alone, for
    splits that tell missing values from all others.

    Attributes:
        kinds: of the blocks of columns in compared rows: `HIGH`, `LOW`, `MARK`, as far as needed.
        width: columns of a block: features and derived columns.
        column: int64 (m,), place in compared rows, of a node.
        threshold: float32 (m,), infinite in leaves, so that nothing goes right there.
    """

    def __init__(self, forest: Forest) -> None:
        self.width = forest.width + len(forest.derived)
        split = ~forest.is_leaf
        tells_missing = ~forest.missing_left & np.isposinf(forest.threshold)
        kind = np.where(forest.missing_left, LOW, np.where(tells_missing, MARK, HIGH))
        self.kinds, block = np.unique(kind[split], return_inverse=True)
        self.column = np.zeros(len(forest.column), np.int64)
        self.column[split] = block * self.width + forest.column[split]
        self.threshold = np.where(tells_missing, np.float32(0.5), forest.threshold)
        self.threshold[forest.is_leaf] = np.inf
