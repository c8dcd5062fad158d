"""Detectors of drift: quiet where nothing has moved, and soon where something has."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from inference.packages.drift_reference import Histogram, fit_histogram
from inference.packages.hours import in_time
from monitoring.counting.kernels import Binning
from monitoring.drift.detector import Detector, Moved, Watched
from monitoring.drift.reference import yardstick_of
from streams.features.calendar import hour_of_week

FEATURES, CELL = 8, 100
DAY = 86_400_000
MONDAY = 1_699_833_600_000
PER_DAY = 2_000


class World:
    """A stream whose first three weeks are the reference."""

    def __init__(self, seed: int, *, phi: float = 0.0, daily: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self._phi, self._daily = phi, daily
        times = self.times(0, 21 * PER_DAY)
        rows = self.rows(times)
        histograms: dict[str, Histogram] = {
            str(place): in_time(fit_histogram(column, 20), column, times, "UTC")
            for place, column in enumerate(rows.T)
        }
        self.binning = Binning([each.edges for each in histograms.values()])
        self.yardstick = yardstick_of(histograms, 0.02)
        self.detector = Detector(self.yardstick, np.log(FEATURES * 30 * 1_440))

    def times(self, first: int, count: int) -> NDArray[np.int64]:
        return MONDAY + (first + np.arange(count)) * (DAY // PER_DAY)

    def rows(self, times: NDArray[np.int64]) -> NDArray[np.float32]:
        noise = self.rng.normal(size=(len(times) + 200, FEATURES)) * np.sqrt(1 - self._phi**2)
        values = lfilter([1], [1, -self._phi], noise, axis=0)[200:]
        values += self._daily * np.sin(times % DAY / DAY * 2 * np.pi)[:, None]
        return values.astype(np.float32)

    def watch(
        self, watched: Watched, rows: NDArray[np.float32], times: NDArray[np.int64]
    ) -> tuple[int, list[Moved]]:
        """How many events pass until something has moved."""
        groups = self.yardstick.share.shape[1]
        hours = hour_of_week(times, "UTC") if groups > 1 else np.zeros(len(times), np.int64)
        for first in range(0, len(rows), CELL):
            part = slice(first, first + CELL)
            counts = np.zeros((1, FEATURES, self.binning.bins), np.int64)
            self.binning.count(rows[part], np.zeros(len(rows[part]), np.int64), counts)
            own = np.bincount(hours[part], minlength=groups)
            moved = self.detector.step(watched, counts[0], own, int(times[part][-1]) + 1)
            if moved:
                return first + CELL, moved
        return len(rows), []


@pytest.mark.parametrize(
    "world", [{}, {"phi": 0.9}, {"daily": 1.0}], ids=["independent", "autocorrelated", "daily"]
)
def test_quiet_streams_raise_no_alarm(world: dict[str, float]) -> None:
    stream = World(1, **world)
    for week in range(30, 34):
        times = stream.times(week * 7 * PER_DAY, 7 * PER_DAY)
        watched = Watched.begin(stream.yardstick, int(times[0]))
        assert stream.watch(watched, stream.rows(times), times)[1] == []


@pytest.mark.parametrize("daily", [0.0, 1.0])
@pytest.mark.parametrize("quiet", [0, 10_000])
def test_a_shift_is_found_soon_however_long_it_was_quiet(daily: float, quiet: int) -> None:
    stream = World(2, daily=daily)
    times = stream.times(30 * 7 * PER_DAY, quiet + 4_000)
    watched = Watched.begin(stream.yardstick, int(times[0]))
    rows = stream.rows(times)
    rows[quiet:, 3] += 0.5
    assert stream.watch(watched, rows[:quiet], times[:quiet])[1] == []
    events, moved = stream.watch(watched, rows[quiet:], times[quiet:])
    assert [each.feature for each in moved] == [3]
    assert events <= 1_500
    assert moved[0].psi > 0.05
    assert moved[0].since <= times[quiet + events - 1]
    assert moved[0].since >= times[max(quiet - 2_000, 0)]


def test_what_does_not_matter_is_passed_over_however_certain_it_is() -> None:
    stream = World(3)
    watched = Watched.begin(stream.yardstick, MONDAY)
    times = stream.times(30 * 7 * PER_DAY, 60_000)
    rows = stream.rows(times)
    rows[:, 3] += 0.125  # a PSI of 0.016
    assert stream.watch(watched, rows, times)[1] == []
    assert not watched.weak(stream.detector.log_alarm)[3]


@pytest.mark.parametrize("value", [np.nan, 1e6, 0.123])
def test_what_goes_missing_leaves_its_range_or_gets_stuck_is_found(value: float) -> None:
    stream = World(4)
    watched = Watched.begin(stream.yardstick, MONDAY)
    times = stream.times(30 * 7 * PER_DAY, 4_000)
    rows = stream.rows(times)
    rows[stream.rng.random(len(rows)) < 0.1, 5] = value
    events, moved = stream.watch(watched, rows, times)
    assert [each.feature for each in moved] == [5]
    assert events <= 2_000
