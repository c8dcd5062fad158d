"""A forest as flat arrays: what every reader makes, and every form is made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inference.forest.columns import DerivedColumn, DerivedColumns, Membership, TreeError
from inference.forest.node_order import by_level

LEAF = -1
"""What a leaf has for the column that a split compares."""


class Split(NamedTuple):
    """An inner node while it is read; `left` and `right` are what its reader knows them by.

    A row goes left when its value of `column`, a feature or a derived column, is at most
    `threshold`, a double.
    """

    column: int | DerivedColumn
    threshold: float
    missing_left: bool
    left: Any
    right: Any


class Leaf(NamedTuple):
    """An end of a tree while it is read."""

    value: float


Node = Split | Leaf


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees over float32 rows; the margin of a row is `base` and the value of a leaf of each tree.

    All splits are ``x <= threshold`` to the left; ``NaN`` goes where `missing_left` says. Leaves
    are added in float64, in the order of the trees. The nodes of a tree stand together, each before
    its children and its left branch before its right one; so leaves stand from left to right.

    Attributes:
        width: columns of the rows.
        derived: columns that splits read beyond those, numbered from `width` on.
        base: margin before the first tree.
        roots: int32 (t,), the node that each tree begins with.
        column: int32 (m,), what a split compares; -1 marks a leaf.
        threshold: float32 (m,).
        missing_left: bool (m,).
        left, right: int32 (m,), children; of a leaf, itself.
        value: float64 (m,), of a leaf; 0 elsewhere.
    """

    width: int
    derived: tuple[DerivedColumn, ...]
    base: float
    roots: NDArray[np.int32]
    column: NDArray[np.int32]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]

    @cached_property
    def derive(self) -> DerivedColumns:
        """Puts the derived columns beside the features."""
        return DerivedColumns(self.derived)

    @cached_property
    def is_leaf(self) -> NDArray[np.bool_]:
        """Which nodes are leaves (m,)."""
        return np.equal(self.column, LEAF)

    @cached_property
    def leaves(self) -> NDArray[np.int64]:
        """Leaves of each tree (t,)."""
        return np.diff(self.roots, append=len(self.column)) // 2 + 1

    @cached_property
    def depth(self) -> int:
        """Splits on the longest way from a root to a leaf."""
        return len(self.levels()) - 1

    def levels(self) -> list[NDArray[np.int32]]:
        """Return the nodes of all trees by their distance from the root."""
        return list(by_level(self.roots, self.left, self.right, self.is_leaf))

    def tree_of(self) -> NDArray[np.int32]:
        """Return the tree that each node belongs to (m,)."""
        sizes = np.diff(self.roots, append=len(self.column))
        return np.repeat(np.arange(len(self.roots), dtype=np.int32), sizes)

    def rank_in_tree(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many of the chosen nodes (m,) come before each node of its tree (m,)."""
        before: NDArray[np.int64] = np.cumsum(chosen) - chosen
        return before - before[self.roots[self.tree_of()]]


def tree_nodes(root: Any, describe: Callable[[Any], Node], limit: int) -> list[Node]:
    """Return a tree's nodes, each before its children, which are then places in this list.

    Args:
        root: what the reader knows the root by.
        describe: from that to the node.
        limit: as many nodes as there are.

    Raises:
        TreeError: the nodes are no tree, since one is reached twice.
    """
    nodes: list[Node] = []
    rights: dict[int, int] = {}
    stack: list[tuple[Any, int | None]] = [(root, None)]
    while stack:  # not recursion: a tree grown leaf by leaf may be as deep as it has leaves
        key, parent = stack.pop()
        place = len(nodes)
        if place == limit:
            raise TreeError(f"{limit} nodes are no tree: one of them is reached in two ways")
        if parent is not None:
            rights[parent] = place
        node = describe(key)
        nodes.append(node)
        if isinstance(node, Split):
            stack += [(node.right, place), (node.left, None)]  # the left one comes next
    return [
        Split(node.column, node.threshold, node.missing_left, place + 1, rights[place])
        if isinstance(node, Split)
        else node
        for place, node in enumerate(nodes)
    ]


def build_forest(width: int, base: float, trees: Sequence[Sequence[Node]]) -> Forest:
    """Return the forest of trees as `tree_nodes` gives them.

    Raises:
        TreeError: no tree has a split, or one reads a feature that rows of this width do not have.
    """
    nodes = [node for tree in trees for node in tree]
    splits = [node for node in nodes if isinstance(node, Split)]
    columns = {split.column for split in splits}
    features = [column if isinstance(column, int) else column.feature for column in columns]
    check_features(np.array(features, np.int64), width)
    derived = sorted(
        (column for column in columns if not isinstance(column, int)),
        key=lambda column: (isinstance(column, Membership), column),
    )
    place: dict[int | DerivedColumn, int] = {
        column: column for column in columns if isinstance(column, int)
    }
    place.update((column, width + i) for i, column in enumerate(derived))
    sizes = np.array([len(tree) for tree in trees], np.int64)
    roots = np.cumsum(sizes) - sizes
    split_at = np.flatnonzero([isinstance(node, Split) for node in nodes])
    leaf_at = np.flatnonzero([isinstance(node, Leaf) for node in nodes])
    first = np.repeat(roots, sizes)[split_at]
    left, right = np.arange(len(nodes)), np.arange(len(nodes))
    left[split_at] = first + np.array([split.left for split in splits], np.int64)
    right[split_at] = first + np.array([split.right for split in splits], np.int64)
    column_of = np.full(len(nodes), LEAF, np.int32)
    column_of[split_at] = [place[split.column] for split in splits]
    threshold = np.zeros(len(nodes), np.float32)
    threshold[split_at] = floor32([split.threshold for split in splits])
    missing_left = np.zeros(len(nodes), np.bool_)
    missing_left[split_at] = [split.missing_left for split in splits]
    value = np.zeros(len(nodes))
    value[leaf_at] = [node.value for node in nodes if isinstance(node, Leaf)]
    return Forest(
        width=width,
        derived=tuple(derived),
        base=base,
        roots=roots.astype(np.int32),
        column=column_of,
        threshold=threshold,
        missing_left=missing_left,
        left=left.astype(np.int32),
        right=right.astype(np.int32),
        value=value,
    )


def check_features(features: NDArray[np.int64], width: int) -> None:
    """Refuse features of splits that rows of a width do not have, and trees without any split."""
    if not features.size:
        raise TreeError("no tree has a split: every row would get the same answer")
    if (others := features[(features < 0) | (features >= width)]).size:
        raise TreeError(f"a split reads feature {others[0]}; rows have those from 0 to {width - 1}")


def floor32(values: ArrayLike) -> NDArray[np.float32]:
    """Return the largest float32 that is not above each double.

    For a float32 x, ``x <= value`` exactly when ``x <= floor32(value)``.

    >>> floor32([0.1, 0.5]).tolist()
    [0.09999999403953552, 0.5]
    """
    exact = np.asarray(values, np.float64)
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    return np.where(rounded > exact, _next_below(rounded), rounded)


def below32(values: ArrayLike) -> NDArray[np.float32]:
    """Return the largest float32 below each double: ``x < value`` is ``x <= below32(value)``.

    >>> below32([0.1, 0.5]).tolist()
    [0.09999999403953552, 0.4999999701976776]
    """
    floor = floor32(values)
    return np.where(floor < np.asarray(values, np.float64), floor, _next_below(floor))


def _next_below(values: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.nextafter(values, np.float32(-np.inf))
