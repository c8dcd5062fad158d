"""Made-up streams of 30 features: what the monitor has to be quiet in, and to find shifts in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from inference.packages.drift_reference import fit_histogram
from inference.packages.hours import in_time
from monitoring.counting.kernels import Binning
from monitoring.drift.detector import Detector
from monitoring.drift.reference import yardstick_of
from streams.features.calendar import hour_of_week

FEATURES = 30
CELL = 100
"""Events in a cell of time: a hundred a minute."""
MINUTE = 60_000
ARL_MINUTES = 90 * 1_440
DELTA = 0.02
_MONDAY = 1_699_833_600_000
_REFERENCE_WEEKS = 3
_LATER_WEEKS = 20
_OF_A_MINUTE = 2
_WARM_UP = 200


@dataclass(frozen=True)
class Kind:
    """What a stream is like.

    Attributes:
        phi: of a first-order autoregression.
        daily: height of a daily wave, in standard deviations; each feature has an hour of its own.
    """

    name: str
    phi: float = 0.0
    daily: float = 0.0


KINDS = (Kind("independent"), Kind("autocorrelated", phi=0.8), Kind("seasonal", daily=0.7))


class World:
    """A stream of a kind, whose reference is its first three weeks, two events a minute of them.

    Attributes:
        bins: how wide counts are.
    """

    def __init__(self, kind: Kind, rng: np.random.Generator) -> None:
        self._kind, self._rng = kind, rng
        self._own_hour = rng.random(FEATURES)
        minutes = np.arange(_REFERENCE_WEEKS * 7 * 1_440)
        times = _MONDAY + np.repeat(minutes, _OF_A_MINUTE) * MINUTE
        rows = self.rows(times)
        histograms = {
            f"f{place}": in_time(fit_histogram(column, 20), column, times, "UTC")
            for place, column in enumerate(rows.T)
        }
        self._binning = Binning([each.edges for each in histograms.values()])
        self.bins = self._binning.bins
        self.yardstick = yardstick_of(histograms, DELTA)
        self.detector = Detector(self.yardstick, float(np.log(FEATURES * ARL_MINUTES)))

    def rows(self, times: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors (n, features) at these times, ms."""
        kind = self._kind
        values = self._rng.standard_normal((len(times) + _WARM_UP, FEATURES))
        if kind.phi:
            values *= np.sqrt(1 - kind.phi**2)
            values = lfilter([1], [1, -kind.phi], values, axis=0)
        values = values[_WARM_UP:]
        if kind.daily:
            day = times[:, None] / (1_440 * MINUTE)
            values += kind.daily * np.sin(2 * np.pi * (day + self._own_hour))
        return values.astype(np.float32)

    def span(self, events: int) -> NDArray[np.int64]:
        """Times (n,) of a span of the stream that begins somewhere in the weeks to come, ms."""
        first = int(self._rng.integers(_REFERENCE_WEEKS, _LATER_WEEKS) * 7 * 1_440)
        first += int(self._rng.integers(7 * 1_440))
        return _MONDAY + (first + np.arange(events) // CELL) * MINUTE

    def cells(
        self, times: NDArray[np.int64], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counts (cells, features, bins) and groups (cells, groups) of a span."""
        number = -(-len(rows) // CELL)
        places = np.arange(len(rows)) // CELL
        counts = np.zeros((number, FEATURES, self.bins), np.int64)
        self._binning.count(rows, places, counts)
        groups = np.zeros((number, self.yardstick.share.shape[1]), np.int64)
        hours = hour_of_week(times, "UTC") if groups.shape[1] > 1 else np.zeros_like(places)
        np.add.at(groups, (places, hours), 1)
        return counts, groups
