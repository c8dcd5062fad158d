"""Counts of values by magnitude: of a float32 its sign, exponent and three bits of its mantissa.

The top 12 bits make 4,096 buckets, 8 an octave: bucket k >= 0 holds [v(k), v(k + 1)), where v(k) is
the float32 whose bits are k << 20, and 2,048 + k holds the negatives of it. So a bucket bounds its
values to 12.5 % whatever they are, whole numbers up to 16 have buckets of their own, and counts of
two spans, partitions or workers add up to those of both. As a histogram of logarithmic buckets:
Masson, Rim and Lee, DDSketch, arXiv 1908.10693.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from streams.base.compiled_code import kept_njit

BUCKETS = 4_096
ZERO, NAN, INFINITE = 0, 2_044, 2_040
NEGATIVE = 2_048
"""The bit that makes a bucket one of negative values."""
PER_OCTAVE = 8

Counts = NDArray[np.int64]
"""(4096,), by bucket."""

_floors = (np.arange(INFINITE + 1, dtype=np.uint32) << 20).view(np.float32).astype(np.float64)
_ceilings = np.append(_floors[1:], np.inf)

ASCENDING = np.concatenate(
    [np.arange(NEGATIVE + INFINITE, NEGATIVE - 1, -1), np.arange(INFINITE + 1)]
)
"""Buckets by their values, -inf to inf, (4082,); that of ``NaN`` is none of them."""
FLOORS = np.concatenate([-_ceilings[::-1], _floors])
"""The least value of each of these, (4082,)."""
CEILINGS = np.append(FLOORS[1:], np.inf)


@kept_njit(nogil=True, _nrt=False)
def _count(bits, counts):  # type: ignore[no-untyped-def]
    for i in range(bits.shape[0]):
        for j in range(bits.shape[1]):
            size = bits[i, j] & np.uint32(0x7FFFFFFF)
            if size > np.uint32(0x7F800000):
                bucket = np.uint32(NAN)
            elif size == np.uint32(0):
                bucket = np.uint32(ZERO)
            else:
                bucket = bits[i, j] >> np.uint32(20)
            counts[j, bucket] += 1


def count_magnitudes(values: NDArray[np.float32], counts: NDArray[np.int64]) -> None:
    """Add values (n, features) to counts (features, 4096), in place and without the GIL.

    -0.0 counts as 0, any ``NaN`` in the bucket `NAN`.
    """
    _count(np.ascontiguousarray(values, np.float32).view(np.uint32), counts)


def magnitudes(values: NDArray[np.float32]) -> Counts:
    """Counts of one feature's values (n,)."""
    counts = np.zeros((1, BUCKETS), np.int64)
    count_magnitudes(np.asarray(values, np.float32)[:, None], counts)
    return np.asarray(counts[0])


def bucket_of(value: float) -> int:
    """The bucket that a value falls into."""
    return int(magnitudes(np.array([value], np.float32)).argmax())


def sparse(counts: Counts) -> dict[int, int]:
    """Buckets that are not empty, rising, with their counts."""
    return {int(bucket): int(counts[bucket]) for bucket in np.flatnonzero(counts)}


def dense(sparse_counts: Mapping[int, int]) -> Counts:
    """All 4,096 counts of a sparse mapping.

    Raises:
        IndexError: a bucket is none of 0 to 4,095.
    """
    counts = np.zeros(BUCKETS, np.int64)
    for bucket, count in sparse_counts.items():
        counts[bucket] = count
    return counts


def merged(first: Mapping[int, int], second: Mapping[int, int]) -> dict[int, int]:
    """Sparse counts of both together."""
    return dict(Counter(first) + Counter(second))


def sizes(counts: Counts) -> Counts:
    """Counts of |x|, finite and not 0, by the buckets 1 to 2,039, (2039,)."""
    return np.asarray(counts[1:INFINITE] + counts[NEGATIVE + 1 : NEGATIVE + INFINITE])


def size_quantiles(counts: Counts, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles of |x| over the values that are finite and not 0, (levels,).

    Within a bucket values are taken as spread evenly, so that one is off by 12.5 % at most.

    Raises:
        ValueError: there are no such values.
    """
    by_size = sizes(counts)
    after = np.cumsum(by_size)
    total = after[-1]
    if not total:
        raise ValueError("quantiles of |x| need a value that is finite and not 0")
    place = np.searchsorted(after, levels * total, side="left").clip(0, len(after) - 1)
    into = 1 - (after[place] - levels * total) / np.maximum(by_size[place], 1)
    floor, ceiling = _floors[1:-1][place], _floors[2:][place]
    ceiling = np.minimum(ceiling, np.finfo(np.float32).max)
    return np.asarray(floor + into * (ceiling - floor))
