"""Values that the reference never had: of another range, or of a category that is new."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.packages.drift_reference import Histogram
from monitoring.breakage.distinct import distinct_values
from monitoring.breakage.magnitudes import (
    BUCKETS,
    INFINITE,
    NAN,
    NEGATIVE,
    PER_OCTAVE,
    Counts,
    bucket_of,
)
from monitoring.breakage.shares import SURE, evidence_above
from monitoring.breakage.stuck import Repeated

OUTSIDE, NEW = 0.002, 0.005
"""Shares that the world may have outside of what the reference saw: of a range, of categories."""
OTHERS = 0.25
"""How far the shares of known categories may move where a new one is all that happened."""


class Novel(NamedTuple):
    """New values: in which buckets (4096,), their share at least, and the most frequent one.

    ``example`` is the value where it is known, else None.
    """

    buckets: NDArray[np.bool_]
    share: float
    example: float | None
    log_e: float


def new_range(reference: Counts, now: Counts) -> Novel | None:
    """Find values of a sign that never was, or of more than twice the largest size that was.

    Ordinary shifts and tails bring a few values beyond the largest, but not so far.
    """
    total = int(now.sum())
    seen = reference.astype(bool)
    signs = (seen[1 : INFINITE + 1], seen[NEGATIVE : NEGATIVE + INFINITE + 1])
    if not total or not (signs[0].any() or signs[1].any()):
        return None
    largest = max(int(np.flatnonzero(sign)[-1]) for sign in signs if sign.any()) + 1
    size = np.arange(BUCKETS) % NEGATIVE
    outside = (size > largest + PER_OCTAVE) & (size <= INFINITE)
    for sign, first in zip(signs, (0, NEGATIVE), strict=True):
        if not sign.any():
            outside[first + 1 : first + INFINITE + 1] = True
    outside &= ~seen
    count = int(now[outside].sum())
    log_e = evidence_above(count, total, OUTSIDE)
    return Novel(outside, count / total, None, log_e) if log_e >= SURE else None


def new_category(
    histogram: Histogram, reference: Counts, now: Counts, repeated: Repeated
) -> Novel | None:
    """Find values that are none of a reference's few, while the shares of these are what they were.

    Where the shares moved as well, it is a count that grew, and no new category.
    """
    values = distinct_values(histogram, reference)
    total = int(now.sum())
    if values is None or not total:
        return None
    new = {value: held for value, held in repeated.counts.items() if value not in values}
    buckets = reference == 0
    buckets[NAN] = False
    count = max(int(now[buckets].sum()), sum(new.values()))
    for value in new:
        buckets[bucket_of(value)] = True
    known = ~buckets
    known[NAN] = False
    before, after = reference[known], now[known]
    if not after.sum():
        return None
    moved = np.abs(before / before.sum() - after / after.sum()).sum() / 2
    if moved > OTHERS + np.sqrt(len(values) / after.sum()):
        return None
    log_e = evidence_above(count, total, NEW)
    example = max(new, key=new.__getitem__) if new else None
    return Novel(buckets, count / total, example, log_e) if log_e >= SURE else None
