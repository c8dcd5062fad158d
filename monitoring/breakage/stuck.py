"""Stuck fields: one value holds a share, or a run, that it has not in the reference.

Values are found by the summary of Misra and Gries (Science of Computer Programming 2, 1982): of K
counters, each is at most n / (K + 1) below the true count and never above it. So it errs on the
side of calm, and two summaries merge into one with the same bound (Agarwal et al., Mergeable
summaries, ACM TODS 38, 2013).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.packages.drift_reference import Histogram, count
from monitoring.breakage.distinct import distinct_values
from monitoring.breakage.magnitudes import Counts, bucket_of
from monitoring.breakage.shares import SURE, evidence_above, limit_above, upper_share
from streams.base.compiled_code import kept_njit

COUNTERS = 16
TIMES = 6.0
LEAST, LEAST_OF_FEW = 0.15, 0.9
"""The share that no value may exceed, whatever it had; of features with few values, which shift."""
COMMON = 0.12
"""Above this share in the reference, a value may hold whole hours, as a flag of the night does."""
LEAST_RUN = 100
"""A burst of one card repeats that card's values; so many events in a row are no card's."""


@dataclass(frozen=True)
class Repeats:
    """Which values of each feature come again and again.

    Attributes:
        values, counts: the summary's counters, (features, 16); a counter of 0 is free.
        run_values, run_lengths: the longest run of equal values, (features,).
        open_values, open_lengths: the run that the last value ends, (features,).
    """

    values: NDArray[np.float32]
    counts: NDArray[np.int64]
    run_values: NDArray[np.float32]
    run_lengths: NDArray[np.int64]
    open_values: NDArray[np.float32]
    open_lengths: NDArray[np.int64]

    @classmethod
    def none(cls, features: int) -> "Repeats":
        """Repeats before the first value."""
        return cls(
            np.zeros((features, COUNTERS), np.float32),
            np.zeros((features, COUNTERS), np.int64),
            np.zeros(features, np.float32),
            np.zeros(features, np.int64),
            np.zeros(features, np.float32),
            np.zeros(features, np.int64),
        )

    def add(self, values: NDArray[np.float32]) -> None:
        """Take values (n, features) in, in place and without the GIL. ``NaN`` ends a run."""
        matrix = np.ascontiguousarray(values, np.float32)
        _summarise(matrix, self.values, self.counts)
        _run(matrix, self.run_values, self.run_lengths, self.open_values, self.open_lengths)

    def __add__(self, other: "Repeats") -> "Repeats":
        """Of both; runs go on over batches (`add`), not over parts that are added."""
        features = len(self.values)
        both = Repeats.none(features)
        for j in range(features):
            summed: dict[float, int] = {}
            for part in (self, other):
                for value, held in part.of(j).counts.items():
                    summed[value] = summed.get(value, 0) + held
            most = sorted(summed.items(), key=lambda each: -each[1])
            spare = most[COUNTERS][1] if len(most) > COUNTERS else 0
            for k, (value, held) in enumerate(most[:COUNTERS]):
                both.values[j, k], both.counts[j, k] = value, held - spare
        longer = self.run_lengths >= other.run_lengths
        both.run_values[:] = np.where(longer, self.run_values, other.run_values)
        both.run_lengths[:] = np.where(longer, self.run_lengths, other.run_lengths)
        return both

    def of(self, feature: int) -> "Repeated":
        """What one feature repeats most."""
        held = np.flatnonzero(self.counts[feature])
        values, counts = self.values[feature, held], self.counts[feature, held]
        most = dict(zip(values.tolist(), counts.tolist(), strict=True))
        return Repeated(most, float(self.run_values[feature]), int(self.run_lengths[feature]))


class Repeated(NamedTuple):
    """One feature's repeats: how often its values come, at least, and its longest run."""

    counts: dict[float, int]
    run_value: float
    run: int


class Stuck(NamedTuple):
    """A value that holds too much, and its share of the values, at least."""

    value: float
    share: float
    log_e: float


def stuck(
    histogram: Histogram,
    reference: Counts,
    repeated: Repeated,
    total: int,
    usual: float | None = None,
) -> Stuck | None:
    """Say whether one value holds what it did not in the reference, or does not end.

    What the reference says of a value is a bound: the count of its bin, or of its bucket. Above it
    the share may have six times the odds, and .15 at least (.9 of few distinct values). A run of L
    equal values among n, of a share p at most each, has the probability n p^L at most.

    Args:
        histogram, reference: of the same rows of the reference.
        repeated: of now.
        total: how many values there are now, ``NaN`` among them.
        usual: the largest share that one value held in any past span of this length; without it,
            values that are common in the reference are not judged.
    """
    of = int(reference.sum())
    if not total or not of:
        return None
    least = LEAST if distinct_values(histogram, reference) is None else LEAST_OF_FEW
    found = []
    for value, held in repeated.counts.items():
        if held <= least * total:
            continue
        before = _bound(histogram, reference, value)
        limit = limit_above(before, of, times=TIMES, least=least)
        if upper_share(before, of) > COMMON:
            limit = max(limit, usual) if usual is not None else 1.0
        found.append(Stuck(value, held / total, evidence_above(held, total, limit)))
    value, run = repeated.run_value, repeated.run
    share = upper_share(_bound(histogram, reference, value), of)
    if share <= COMMON and run >= LEAST_RUN:
        found.append(Stuck(value, run / total, -run * math.log(share) - math.log(total)))
    most = max(found, key=lambda each: each.log_e, default=None)
    return most if most is not None and most.log_e >= SURE else None


def _bound(histogram: Histogram, reference: Counts, value: float) -> int:
    """How often a value can have stood in the reference, at most."""
    slot = int(count(np.array([value], np.float32), histogram.edges).argmax())
    return min(histogram.counts[slot], int(reference[bucket_of(value)]))


_kernel = kept_njit(nogil=True, _nrt=False)


@_kernel
def _summarise(matrix, values, counts):  # type: ignore[no-untyped-def]
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            x = matrix[i, j]
            if x != x:
                continue
            free = -1
            found = False
            for k in range(counts.shape[1]):
                if counts[j, k] == 0:
                    free = k
                elif values[j, k] == x:
                    counts[j, k] += 1
                    found = True
                    break
            if found:
                continue
            if free >= 0:
                values[j, free] = x
                counts[j, free] = 1
            else:
                for k in range(counts.shape[1]):
                    counts[j, k] -= 1


@_kernel
def _run(matrix, run_values, run_lengths, open_values, open_lengths):  # type: ignore[no-untyped-def]
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            x = matrix[i, j]
            if x != x:
                open_lengths[j] = 0
                continue
            if open_lengths[j] and open_values[j] == x:
                open_lengths[j] += 1
            else:
                open_values[j] = x
                open_lengths[j] = 1
            if open_lengths[j] > run_lengths[j]:
                run_values[j] = x
                run_lengths[j] = open_lengths[j]
