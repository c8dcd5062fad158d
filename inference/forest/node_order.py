"""The orders of a forest's nodes: level by level, and each before its children."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.forest.columns import TreeError

_Index = TypeVar("_Index", np.int32, np.int64)


class Preorder(NamedTuple):
    """Tree after tree, each node before its children and its left branch before its right one.

    Attributes:
        node: int64 (p,), which node stands at each place.
        roots: int64 (t,), the place that each tree begins with.
        left, right: int64 (p,), places of the children; of a leaf, its own.
    """

    node: NDArray[np.int64]
    roots: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]


def by_level(
    roots: NDArray[_Index],
    left: NDArray[_Index],
    right: NDArray[_Index],
    is_leaf: NDArray[np.bool_],
) -> Iterator[NDArray[_Index]]:
    """Yield the nodes of all trees by their distance from the root, siblings side by side."""
    level = roots
    yield level
    while (splits := level[~is_leaf[level]]).size:
        level = np.stack([left[splits], right[splits]], axis=1).ravel()
        yield level


def preorder(
    roots: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    is_leaf: NDArray[np.bool_],
) -> Preorder:
    """Return the order of trees whose nodes are in any.

    Where branches join, the nodes from there on are copied: exporters write a set of categories as
    a chain of splits with one and the same branch.

    Args:
        roots: nodes (t,), no children of others.
        left, right: children (m,); those of leaves are not read.
        is_leaf: (m,).

    Raises:
        TreeError: branches lead in a circle, or make more places than the trees would have if each
            had all nodes.
    """
    levels = _levels(roots, left, right, is_leaf)
    node = np.concatenate(levels)
    reached = np.zeros(len(left), np.bool_)
    reached[node] = True
    if not reached.all():  # yet none of the others is a root
        raise TreeError("branches of the trees lead in a circle")

    # By level, the children of the k-th split stand 2k behind the roots.
    split = np.flatnonzero(~is_leaf[node])
    first_child = len(roots) + 2 * np.arange(len(split))
    ends = np.cumsum([len(level) for level in levels])
    # Of each level but the last: its splits, and where their children stand.
    steps = [
        (split[(begin - len(roots)) // 2 : (end - len(roots)) // 2], slice(begin, end))
        for begin, end in pairwise(ends)
    ]
    size = np.ones(len(node), np.int64)  # of the branch that begins with a node
    for parents, children in reversed(steps):
        size[parents] += size[children].reshape(-1, 2).sum(axis=1)
    place = np.empty(len(node), np.int64)
    place[: len(roots)] = np.cumsum(size[: len(roots)]) - size[: len(roots)]
    for parents, children in steps:
        siblings = place[children].reshape(-1, 2)
        siblings[:, 0] = place[parents] + 1
        siblings[:, 1] = siblings[:, 0] + size[children][::2]

    order = np.empty(len(node), np.int64)
    order[place] = node
    lefts, rights = np.arange(len(node)), np.arange(len(node))
    lefts[place[split]] = place[first_child]
    rights[place[split]] = place[first_child + 1]
    return Preorder(order, place[: len(roots)], lefts, rights)


def _levels(
    roots: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    is_leaf: NDArray[np.bool_],
) -> list[NDArray[np.int64]]:
    """Return the nodes by level, those that are reached in several ways several times."""
    levels: list[NDArray[np.int64]] = []
    limit, places = len(roots) * len(left), 0
    for level in by_level(roots, left, right, is_leaf):
        levels.append(level)
        places += len(level)
        if len(levels) > len(left):
            raise TreeError("branches of the trees lead in a circle")
        if places > limit:
            raise TreeError(
                f"branches of the trees lead in a circle, or join so often that their {len(left)} "
                f"nodes would be copied into more than {limit}: merge rare categories, or grow "
                "smaller trees"
            )
    return levels
