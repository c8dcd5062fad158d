"""A yardstick made of the histograms that a model package carries."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inference.packages.drift_reference import Histogram
from inference.packages.hours import dependence
from monitoring.drift.yardstick import Yardstick

UNKNOWN_INFLATION = 10.0
"""Of packages that were trained before it was measured."""
_DAY = 24


def yardstick_of(
    histograms: Mapping[str, Histogram], delta: float, *, stuck: bool = True
) -> Yardstick:
    """The yardstick of some features; by hour of the week where one of them has hours."""
    counts = [
        by_hour(each) if each.hours else np.array([each.counts], np.float64)
        for each in histograms.values()
    ]
    clusters = [clusters_of(each) for each in histograms.values()]
    return Yardstick(list(histograms), counts, clusters, delta=delta, stuck=stuck)


def clusters_of(histogram: Histogram) -> NDArray[np.float64]:
    """How many events of each bin count as one, (bins,)."""
    least = histogram.inflation or UNKNOWN_INFLATION
    measured = histogram.clusters or np.ones(len(histogram.counts))
    return np.maximum(measured, least)


def by_hour(histogram: Histogram) -> NDArray[np.float64]:
    """What is to be expected in each hour of the week, as counts (168, bins).

    An hour has few rows. So it borrows from the same hour of all days, and that from all hours, as
    many events as their differences say that these are worth.
    """
    inflated = histogram.inflation or UNKNOWN_INFLATION
    weeks = np.array(histogram.hours)
    days = weeks.reshape(7, _DAY, -1).sum(axis=0)
    hour = np.tile(np.arange(_DAY), 7)
    whole = np.array([histogram.counts], np.float64)
    by_day = _borrowed(days, np.repeat(whole, _DAY, axis=0), dependence(days, inflated))
    return _borrowed(weeks, by_day[hour], dependence(weeks, inflated, hour))


def _borrowed(
    counts: NDArray[np.int64], parents: NDArray[np.float64], rho: float
) -> NDArray[np.float64]:
    """Counts (groups, bins) with those of their parents, which weigh as `rho` says."""
    sizes = parents.sum(axis=1, keepdims=True)
    worth = np.minimum(1 / rho - 1, sizes) if rho > 0 else sizes
    return np.asarray(counts + worth * parents / np.maximum(sizes, 1))
