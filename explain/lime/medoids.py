"""A few background rows that stand for all."""

import numpy as np
from numpy.typing import NDArray

_MOST_ROWS = 2_000
"""Of larger backgrounds evenly spaced rows are looked at: distances grow with the square."""

_MOST_ROUNDS = 100


def medoids(
    background: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return places of `count` rows (b, k), and the share of all that each stands for.

    Medoids in the space of ranks, so that no column's scale counts (Park and Jun, "A simple and
    fast algorithm for k-medoids clustering", 2009, from a farthest-first start). All in whole
    numbers: every machine finds the same.
    """
    looked_at = np.unique(np.linspace(0, len(background) - 1, _MOST_ROWS).astype(np.int64))
    rows = background[looked_at] if len(background) > _MOST_ROWS else background
    distance = np.zeros((len(rows), len(rows)), np.int64)
    for column in np.nan_to_num(rows, nan=-np.inf).T:
        ranks = _twice_the_ranks(column)
        distance += np.square(ranks[:, None] - ranks)
    medoids = [int(np.argmin(distance.sum(axis=1)))]
    while len(medoids) < count:
        medoids.append(int(np.argmax(distance[:, medoids].min(axis=1))))
    for _ in range(_MOST_ROUNDS):
        nearest = np.argmin(distance[:, medoids], axis=1)
        found = []
        for place, medoid in enumerate(medoids):
            members = np.flatnonzero(nearest == place)
            sums = distance[np.ix_(members, members)].sum(axis=1)
            found.append(int(members[np.argmin(sums)]) if len(members) else medoid)
        if found == medoids:
            break
        medoids = found
    nearest = np.argmin(distance[:, medoids], axis=1)
    shares = np.bincount(nearest, minlength=count) / len(rows)
    places = looked_at[medoids] if len(background) > _MOST_ROWS else np.array(medoids)
    return places.astype(np.int64), shares


def _twice_the_ranks(column: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return twice each value's rank (n,), equal values' mean rank: a whole number.

    `scipy.stats.rankdata` says the same, but importing it took every scorer a second.
    """
    ordered = np.sort(column)
    return np.searchsorted(ordered, column) + np.searchsorted(ordered, column, "right") + 1
