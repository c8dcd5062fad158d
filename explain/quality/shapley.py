"""Shapley values: what LIME's attributions are measured against, and far too slow for a stream.

The value of a coalition of groups is the model's mean log-odds over the background's rows, with the
coalition's features as the event has them ("interventional": Lundberg et al., Nature Machine
Intelligence 2020; Janzing et al., AISTATS 2020). For trees they are exact.
"""

from collections.abc import Callable
from math import factorial

import numpy as np
from numpy.typing import NDArray

from explain.lime.perturbation_design import Groups
from inference.forest.forest import Forest
from streams.base.compiled_code import kept_njit

Answer = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""From rows (n, k) to the model's log-odds (n,)."""


class TreeShapley:
    """Exact Shapley values of a forest's margin.

    A leaf counts for a mixture of an event and a background row where each group on its path is
    taken from one that goes that way. If x groups have to come from the event and z from the row,
    the leaf's value is worth (x-1)! z! / (x+z)! to each of the former, and that of x! (z-1)! less
    to each of the latter.

    Args:
        background: rows (b, k).
    """

    def __init__(self, forest: Forest, groups: Groups, background: NDArray[np.float32]) -> None:
        self._forest = forest
        self._count = len(groups.names)
        derived = [column.feature for column in forest.derived]
        self._group = groups.of_column[[*range(forest.width), *derived]][forest.column]
        self._paths = _paths(forest)
        self._background = self._goes_right(background)
        most = len(self._paths[1]) + 1
        self._factorials = np.array([float(factorial(i)) for i in range(min(most, 170))])

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the values (n, g) of events (n, k)."""
        values = np.zeros((len(rows), self._count))
        starts, nodes, to_right, leaf_values = self._paths
        for event, out in zip(self._goes_right(rows), values, strict=True):
            _add_shapley(
                event,
                self._background,
                starts,
                nodes,
                to_right,
                leaf_values,
                self._group,
                self._factorials,
                np.zeros(self._count, np.int64),
                out,
            )
        return values / len(self._background)

    def _goes_right(self, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Where each row goes at each node (n, nodes)."""
        forest = self._forest
        values = forest.derive(np.ascontiguousarray(rows))[:, forest.column]
        return (values > forest.threshold) | (np.isnan(values) & ~forest.missing_left)


def sampled_shapley(
    answer: Answer,
    row: NDArray[np.float32],
    *,
    groups: Groups,
    background: NDArray[np.float32],
    permutations: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Estimate the values (g,) of any model, from orders in which groups join and their reverses.

    Castro et al., "Polynomial calculation of the Shapley value based on sampling" (2009);
    Mitchell et al., "Sampling permutations for Shapley value estimation" (JMLR 2022).

    Args:
        permutations: how many orders; each is walked forth and back with one background row.
    """
    count = len(groups.names)
    total = np.zeros(count)
    for _ in range(permutations):
        order = rng.permutation(count)
        drawn = background[rng.integers(len(background))]
        for way in (order, order[::-1]):
            joined = np.zeros((count + 1, count), np.bool_)
            for step, group in enumerate(way):
                joined[step + 1 :, group] = True
            answers = answer(np.where(joined[:, groups.of_column], row, drawn))
            total[way] += np.diff(answers)
    return total / (2 * permutations)


def _paths(
    forest: Forest,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return for each leaf where its path begins, and of all paths the nodes and directions."""
    above = np.full(len(forest.column), -1, np.int64)
    is_right = np.zeros(len(forest.column), np.bool_)
    inner = np.flatnonzero(~forest.is_leaf)
    above[forest.left[inner]] = inner
    above[forest.right[inner]] = inner
    is_right[forest.right[inner]] = True
    starts, nodes, to_right = [0], [], []
    leaves = np.flatnonzero(forest.is_leaf)
    for leaf in leaves:
        node = leaf
        while above[node] >= 0:
            nodes.append(above[node])
            to_right.append(is_right[node])
            node = above[node]
        starts.append(len(nodes))
    return (
        np.array(starts, np.int64),
        np.array(nodes, np.int64),
        np.array(to_right, np.bool_),
        forest.value[leaves],
    )


@kept_njit(nogil=True)
def _add_shapley(  # type: ignore[no-untyped-def]
    event, background, starts, nodes, to_right, values, group, factorials, state, out
):
    """Add the values of one event, over all background rows, to `out` (g,)."""
    event_only, row_only, either = 1, 2, 3
    for b in range(len(background)):
        row = background[b]
        for leaf in range(len(values)):
            begin, end = starts[leaf], starts[leaf + 1]
            reachable = True
            for i in range(begin, end):
                state[group[nodes[i]]] = either
            for i in range(begin, end):
                node = nodes[i]
                allowed = 0
                if event[node] == to_right[i]:
                    allowed |= event_only
                if row[node] == to_right[i]:
                    allowed |= row_only
                state[group[node]] &= allowed
                if state[group[node]] == 0:
                    reachable = False
                    break
            if not reachable:
                continue
            x, z = 0, 0
            for i in range(begin, end):
                g = group[nodes[i]]
                if state[g] == event_only:
                    x += 1
                    state[g] = -event_only
                elif state[g] == row_only:
                    z += 1
                    state[g] = -row_only
            if x + z == 0:
                continue
            for i in range(begin, end):
                g = group[nodes[i]]
                if state[g] == -event_only:
                    out[g] += values[leaf] * factorials[x - 1] * factorials[z] / factorials[x + z]
                    state[g] = 0
                elif state[g] == -row_only:
                    out[g] -= values[leaf] * factorials[x] * factorials[z - 1] / factorials[x + z]
                    state[g] = 0
