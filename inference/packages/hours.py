"""What a feature does over the hours of the week, and how much events hang together."""

import numpy as np
from numpy.typing import NDArray

from inference.packages.autocorrelation import cluster_sizes, inflation
from inference.packages.drift_reference import HOURS, Histogram, count_magnitudes, places
from streams.features.calendar import hour_of_week

_TWO_WEEKS_MS = 14 * 86_400_000 - 3_600_000
_CLEAR = 4.0
"""Standard errors by which hours must differ more than chance has them."""


def in_time(
    histogram: Histogram, values: NDArray[np.float32], times: NDArray[np.int64], timezone: str
) -> Histogram:
    """The histogram of these values with its hours of the week, its inflation and clusters.

    Args:
        values: those that it counts, in the order of time, (n,).
        times: UTC ms, (n,).
    """
    bins = places(values, histogram.edges)
    histogram = histogram.model_copy(update={"magnitudes": count_magnitudes(values)})
    scores = _scores(bins, np.array(histogram.counts))
    if len(times) >= 2 and times[-1] - times[0] >= _TWO_WEEKS_MS:
        hours = hour_of_week(times, timezone)
        counts = np.zeros((HOURS, len(histogram.counts)), np.int64)
        np.add.at(counts, (hours, bins), 1)
        events = np.maximum(counts.sum(axis=1), 1)
        within = _inflation(
            [each - (np.bincount(hours, each, HOURS) / events)[hours] for each in scores]
        )
        if dependence(counts, within) > 0:
            clusters = cluster_sizes(bins, counts / events[:, None], hours)
            found = tuple(tuple(each) for each in counts.tolist())
            return histogram.model_copy(
                update={"hours": found, "inflation": within, "clusters": tuple(clusters.tolist())}
            )
    whole = np.array([histogram.counts]) / max(len(values), 1)
    clusters = cluster_sizes(bins, whole, np.zeros(len(values), np.int64))
    return histogram.model_copy(
        update={"inflation": _inflation(scores), "clusters": tuple(clusters.tolist())}
    )


def dependence(
    counts: NDArray[np.int64], inflated: float, parents: NDArray[np.int64] | None = None
) -> float:
    """By how much groups differ: rho of a Dirichlet-multinomial with their parents' shares.

    E sum (c - m p)² / (m p) = (B - 1) ((H - P) v + rho sum (m - 1)) over H groups of m events, B
    bins and P parents, by moments; v the inflation: Mosimann, Biometrika 49 (1962). 0 where that
    may be chance. 1 / rho - 1 events of the parent say as much of a group as one of its own.

    Args:
        counts: (groups, bins).
        parents: of which parent each group is a part, (groups,); None for one parent of all.
    """
    sizes = counts.sum(axis=1)
    parent = np.zeros(len(counts), np.int64) if parents is None else parents
    whole = np.zeros((parent.max(initial=0) + 1, counts.shape[1]))
    np.add.at(whole, parent, counts)
    expected = (whole / np.maximum(whole.sum(axis=1, keepdims=True), 1))[parent] * sizes[:, None]
    used = expected > 0
    bins = np.count_nonzero(whole.sum(axis=0)) - 1
    there = np.count_nonzero(sizes) - np.count_nonzero(whole.sum(axis=1))
    if bins * there <= 0:
        return 0.0
    distance = float(((counts[used] - expected[used]) ** 2 / expected[used]).sum()) / inflated
    degrees = bins * there
    if distance < degrees + _CLEAR * np.sqrt(2 * degrees):
        return 0.0
    excess = inflated * (distance - degrees) / bins
    return float(np.clip(excess / max((sizes[sizes > 0] - 1).sum(), 1), 0.0, 1.0))


def _scores(bins: NDArray[np.int64], counts: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Where rows lie, -1 ... 1, and 0 for missing values; how far out; whether they are missing."""
    present = counts[:-1]
    ranks = (np.cumsum(present) - present / 2) / max(present.sum(), 1) * 2 - 1
    rank = np.append(ranks, 0.0)[bins]
    missing = (bins == len(counts) - 1).astype(np.float64)
    return [rank, np.abs(rank), missing]


def _inflation(scores: list[NDArray[np.float64]]) -> float:
    return max(inflation(each) for each in scores)
