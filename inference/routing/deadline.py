"""Which events the model can answer before their deadline, by a latency model that is learned."""

from bisect import bisect_left
from collections.abc import Sequence
from math import sqrt
from time import monotonic

import numpy as np
from numpy.typing import NDArray

_FORGET = 0.95
_DOUBT = 0.2
_DEVIATIONS = 2.0
_PROBE_EVERY_S = 1.0


class LatencyModel:
    """Predicts the seconds that n rows take: ``a * n + b`` for each bucket of batch sizes.

    Least squares over what was observed, where each observation counts for 5 % less than the one
    after it, so that a machine which grows slower or faster is followed. To the line, two standard
    deviations of what was observed around it are added: who promises a time must keep it.

    Args:
        buckets: batch sizes up to which one line holds, ascending; more rows than the last one
            take as long as the parts into which an engine cuts them.
    """

    def __init__(self, buckets: Sequence[int]) -> None:
        self._buckets = list(buckets)
        # Weight, and weighted sums of n, n*n, t, n*t and t*t.
        self._sums = [[0.0] * 6 for _ in self._buckets]

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a batch."""
        if rows <= 0:
            return
        largest = self._buckets[-1]
        if rows > largest:
            rows, seconds = largest, seconds * largest / rows
        place = bisect_left(self._buckets, rows)
        seen = (1.0, rows, rows * rows, seconds, rows * seconds, seconds * seconds)
        self._sums[place] = [
            _FORGET * old + new for old, new in zip(self._sums[place], seen, strict=True)
        ]

    def predict(self, rows: int) -> float:
        """Seconds that a batch will take; 0 where nothing like it was seen."""
        if rows <= 0:
            return 0.0
        largest = self._buckets[-1]
        parts, rest = divmod(rows, largest)
        if parts and rest:
            return parts * self.predict(largest) + self.predict(rest)
        if parts > 1:
            return parts * self.predict(largest)
        weight, n, nn, t, nt, tt = self._sums[bisect_left(self._buckets, rows)]
        if weight == 0.0:
            return 0.0
        mean_n, mean_t = n / weight, t / weight
        spread = nn / weight - mean_n * mean_n
        slope = 0.0
        if spread > 1e-9 * mean_n * mean_n:
            slope = max(0.0, (nt / weight - mean_n * mean_t) / spread)
        noise = max(0.0, tt / weight - mean_t * mean_t - slope * slope * spread)
        return max(0.0, mean_t + slope * (rows - mean_n)) + _DEVIATIONS * sqrt(noise)

    def doubt(self) -> None:
        """Let what was learned so far count for little against what comes next."""
        self._sums = [[_DOUBT * each for each in sums] for sums in self._sums]


class Deadlines:
    """Tells the events that the model answers from those that are better answered without it.

    Args:
        live_within_ms: an event that arrived longer ago than this is history: nobody waits for its
            answer, so it gets the model's.

    Attributes:
        live_within_ms: as given.
        rest: what is needed after the model has answered, until others see it.
    """

    def __init__(self, live_within_ms: int) -> None:
        self.live_within_ms = live_within_ms
        self.rest = LatencyModel([1, 8, 64, 512, 4096])
        self._probed = monotonic()

    def missed(
        self, arrived: NDArray[np.int64], deadline_ms: int, now_ms: float, inference: LatencyModel
    ) -> NDArray[np.bool_]:
        """Which events would be answered too late by the model, shape (n,).

        Now and then a batch that would be too late as a whole goes to the model nevertheless:
        nothing else could tell that its engine has become fast again.

        Args:
            arrived: when each was stamped, UTC milliseconds, shape (n,).
            inference: what the model's engine needs.
        """
        needed_ms = 1e3 * (inference.predict(arrived.size) + self.rest.predict(arrived.size))
        missed = arrived + deadline_ms < now_ms + needed_ms
        missed &= arrived >= now_ms - self.live_within_ms
        if arrived.size and missed.all() and monotonic() - self._probed >= _PROBE_EVERY_S:
            self._probed = monotonic()
            inference.doubt()
            missed[:] = False
        return missed
