"""References of few distinct values: flags, categories, small counts."""

import numpy as np

from inference.packages.drift_reference import Histogram
from monitoring.breakage.magnitudes import BUCKETS, NAN, Counts, bucket_of


def distinct_values(histogram: Histogram, reference: Counts) -> set[float] | None:
    """The values of a reference that has few of them, each in a bin of its own; else None.

    They are few where each bin's count is that of the bucket of its lower edge, or of several such
    in one bucket: values between the edges would fall into other buckets.
    """
    values = histogram.edges[:-1]
    if any(value != round(value) for value in values):
        return None
    by_bin = np.zeros(BUCKETS, np.int64)
    for value, held in zip(values, histogram.counts[1:-2], strict=True):
        by_bin[bucket_of(value)] += held
    by_bin[NAN] = reference[NAN]
    return set(values) if (by_bin == reference).all() else None
