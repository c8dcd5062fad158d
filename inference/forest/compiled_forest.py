"""A forest laid out for this machine's processor: the fastest form on a CPU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.forest import kernels
from inference.forest.comparisons import Comparisons
from inference.forest.forest import Forest

_SMALL_TREE = 32
"""Leaves that fit into the bits which `kernels.strike_out` strikes out."""

_WORTH_A_BLOCK = 24
"""Rows from which striking out a whole block of 64 is faster than walking these (measured)."""

_NARROW = np.dtype([("threshold", np.float32), ("column", np.uint16), ("left", np.int16)])
_WIDE = np.dtype([("threshold", np.float32), ("column", np.int32), ("left", np.int32)])
_SPLIT = np.dtype([("threshold", np.float32), ("column", np.int32), ("remain", np.uint32)])


class CompiledForest:
    """Answers margins of rows, in double, as the library that trained the forest adds them.

    A row's margin is the same bits in a batch of any size. Any number of threads may ask at once,
    and they run side by side.
    """

    def __init__(self, forest: Forest) -> None:
        self._width = forest.width
        self._derive = forest.derive
        self._base = forest.base
        comparisons = Comparisons(forest)
        self._kinds = comparisons.kinds
        self._compared = len(comparisons.kinds) * comparisons.width
        self._walk = _walk_layout(forest, comparisons)
        small = forest.leaves.max() <= _SMALL_TREE
        self._strike = _strike_layout(forest, comparisons) if small else None

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the margins (n,) of contiguous rows (n, k)."""
        rows = self._derive(rows)
        compared = np.empty((len(rows), self._compared), np.float32)
        kernels.compare_rows(rows, self._kinds, compared)
        margin = np.empty(len(rows))
        struck = 0
        if self._strike is not None and len(rows) >= _WORTH_A_BLOCK:
            rest = len(rows) % kernels.BLOCK
            struck = len(rows) if rest >= _WORTH_A_BLOCK else len(rows) - rest
            columns = np.empty((self._compared, kernels.BLOCK), np.float32)
            left = np.empty(kernels.BLOCK, np.uint32)
            kernels.strike_out(
                compared[:struck], *self._strike, self._base, columns, left, margin[:struck]
            )
        if struck < len(rows):
            kernels.walk(compared, struck, *self._walk, self._base, margin)
        return margin

    def warm_up(self) -> None:
        """Compile the kernels, or load them from disk, for this forest's layout.

        Also for rows that may not be written to, which numba takes for another type: whoever has
        such rows would wait for the compiler at the first event.
        """
        for size in (1, kernels.BLOCK):
            rows = np.zeros((size, self._width), np.float32)
            self(rows)
            rows.flags.writeable = False
            self(rows)


def _walk_layout(forest: Forest, comparisons: Comparisons) -> tuple[NDArray[Any], ...]:
    """Return nodes, values, roots and depths, with the nodes of a tree by level.

    So siblings are neighbours, and what is near the roots and read most stands close together. A
    node takes eight bytes where its tree is not huge.
    """
    levels = forest.levels()
    tree = forest.tree_of()
    by_level = np.concatenate(levels)
    order = by_level[np.argsort(tree[by_level], kind="stable")]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    distance = place[forest.left[order]] - np.arange(len(order))
    column = comparisons.column[order]
    narrow = distance.max() <= np.iinfo(np.int16).max and column.max() <= np.iinfo(np.uint16).max
    nodes = np.empty(len(order), _NARROW if narrow else _WIDE)
    nodes["threshold"] = comparisons.threshold[order]
    nodes["column"] = column
    nodes["left"] = distance
    depths = np.zeros(len(forest.roots), np.int32)
    for depth, level in enumerate(levels):
        depths[tree[level]] = depth
    return nodes, forest.value[order], forest.roots, depths


def _strike_layout(forest: Forest, comparisons: Comparisons) -> tuple[NDArray[Any], ...]:
    """Return splits with what remains on their right, and leaves from left to right, by tree."""
    inner = np.flatnonzero(~forest.is_leaf)
    leaf = forest.rank_in_tree(forest.is_leaf).astype(np.uint64)
    one = np.uint64(1)
    below_left, below_right = (
        (one << leaf[child[inner]]) - one for child in (forest.left, forest.right)
    )
    splits = np.empty(len(inner), _SPLIT)
    splits["threshold"] = comparisons.threshold[inner]
    splits["column"] = comparisons.column[inner]
    # On the right, the leaves from the first of the left branch up to the last of it are out.
    splits["remain"] = ~(below_right ^ below_left) & np.uint64(0xFFFFFFFF)
    counts = np.concatenate([[0], forest.leaves])
    first_leaf = np.cumsum(counts).astype(np.int32)
    first_split = (first_leaf - np.arange(len(counts))).astype(np.int32)
    return splits, first_split, forest.value[forest.is_leaf], first_leaf[:-1]
