"""What the drift reference knows of time: hours of the week, and events that hang together."""

import numpy as np
import pytest
from scipy.signal import lfilter

from inference.packages.autocorrelation import cluster_sizes, inflation
from inference.packages.drift_reference import Histogram, count, fit_histogram
from inference.packages.hours import in_time
from streams.features.calendar import hour_of_week

DAY = 86_400_000
MONDAY = 1_699_833_600_000  # 2023-11-13


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_inflation_is_that_of_an_autoregression(phi: float) -> None:
    """(1 + phi) / (1 - phi) for a linear score; rather too large than too small."""
    rng = np.random.default_rng(1)
    values = lfilter([1], [1, -phi], rng.normal(size=40_000))
    true = (1 + phi) / (1 - phi)
    found = inflation(np.clip(values / values.std(), -3, 3))
    assert true * 0.85 <= found <= true * 1.6


def test_constant_values_and_few_rows_have_no_inflation() -> None:
    assert inflation(np.zeros(1_000)) == 1
    assert inflation(np.arange(50.0)) == 1


def test_bursts_are_seen_in_the_bins_that_they_are_in() -> None:
    """A rare value that comes ten times in a row, among independent ones."""
    rng = np.random.default_rng(6)
    bins = rng.integers(1, 8, 40_000)
    for begin in rng.integers(0, len(bins) - 10, 40):
        bins[begin : begin + 10] = 0
    hours = np.zeros(len(bins), np.int64)
    share = np.bincount(bins, minlength=9)[None] / len(bins)
    found = cluster_sizes(bins, share, hours)
    assert 8 < found[0] < 20
    assert found[1:8].max() < 1.5
    assert found[8] == found[0], "of what was never there, the worst is assumed"
    assert cluster_sizes(rng.permutation(bins), share, hours).max() < 1.5


def series(weeks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    times = MONDAY + np.arange(weeks * 7 * 1_000) * (DAY // 1_000)
    plain = rng.normal(size=len(times)).astype(np.float32)
    daily = plain + np.sin(times % DAY / DAY * 2 * np.pi).astype(np.float32)
    return times, plain, daily


def test_a_feature_with_hours_of_its_own_is_counted_by_them() -> None:
    times, plain, daily = series(3)
    found = in_time(fit_histogram(daily, 10), daily, times, "UTC")
    assert np.array(found.hours).sum(axis=0).tolist() == list(found.counts)
    tuesday_noon = hour_of_week(times, "UTC") == 24 + 12
    assert list(found.hours[24 + 12]) == count(daily[tuesday_noon], found.edges).tolist()
    assert found.inflation == pytest.approx(1, abs=0.3), "what the hours explain is no dependence"
    still = in_time(fit_histogram(plain, 10), plain, times, "UTC")
    assert still.hours == ()
    assert still.inflation == pytest.approx(1, abs=0.3)


def test_of_less_than_two_weeks_hours_are_not_known() -> None:
    times, _, daily = series(1)
    found = in_time(fit_histogram(daily, 10), daily, times, "UTC")
    assert found.hours == ()
    assert found.inflation is not None
    assert found.inflation > 20, "a window of some hours says little of the whole"


def test_hours_are_those_that_clocks_show() -> None:
    summer, winter = np.datetime64("2023-07-03T10:30"), np.datetime64("2023-12-04T11:30")
    times = np.array([summer, winter]).astype("datetime64[ms]").astype(np.int64)
    assert hour_of_week(times, "Europe/Berlin").tolist() == [12, 12]
    assert hour_of_week(times, "UTC").tolist() == [10, 11]


def test_a_reference_is_the_same_after_it_was_written() -> None:
    times, _, daily = series(2)
    found = in_time(fit_histogram(daily, 5), daily, times[: len(daily)], "UTC")
    assert Histogram.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(ValueError, match="168"):
        Histogram.model_validate(found.model_dump() | {"hours": found.hours[:5]})
