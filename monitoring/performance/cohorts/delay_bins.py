"""Bins of label delays: quarters of a power of two of a second, for hours as for months."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

EDGES_MS = np.round(1_000 * 2.0 ** (np.arange(28 * 4 + 1) / 4)).astype(np.int64)
"""From a second to 8 years, ms; bin i holds delays below `EDGES_MS[i]`, and not below the one
before; the last bin all that is longer."""
BINS = len(EDGES_MS) + 1


def delay_bins(delays: ArrayLike) -> NDArray[np.int64]:
    """The bins of delays (n,) in ms; what is negative, by clocks that differ, is in the first."""
    return np.asarray(np.searchsorted(EDGES_MS, np.asarray(delays, np.int64), side="right"))


def bins_within(age: int) -> int:
    """How many bins hold delays of less than an age, ms, and no others."""
    return int(np.searchsorted(EDGES_MS, age, side="right"))
