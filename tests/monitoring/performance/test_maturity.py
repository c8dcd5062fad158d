"""How late labels come: the curve, by what was reported by now, and whether delays grow."""

import math

import numpy as np
import pytest
from cohort_world import FIRST

from monitoring.performance.cohorts.cohort import DAY
from monitoring.performance.cohorts.delay_bins import EDGES_MS, bins_within, delay_bins
from monitoring.performance.cohorts.truth import Counts, count
from monitoring.performance.maturity import DelayWatch, maturity_curve

MATURITY = 30 * DAY
HOUR = DAY // 24


def reports(rng: np.random.Generator, frauds: int, mean: float, age: int = MATURITY) -> Counts:
    """What has been reported of frauds whose day has been over for so long."""
    delays = (rng.exponential(mean, frauds)).astype(np.int64)
    return count(delay_bins(delays[delays < age]))


def test_bins_hold_what_they_say() -> None:
    delays = np.array([-5, 0, 999, 1_000, 1_188, 1_189, DAY, 10**15])
    bins = delay_bins(delays)
    assert bins.tolist()[:6] == [0, 0, 0, 1, 1, 2]
    assert EDGES_MS[bins[6] - 1] <= DAY < EDGES_MS[bins[6]]
    assert bins_within(DAY) == bins[6], "the bin of a day itself is not over within a day"
    assert bins_within(-1) == bins_within(999) == 0


def test_the_curve_is_that_of_all_frauds_though_young_days_have_early_reports_only() -> None:
    rng = np.random.default_rng(1)
    mean = 5 * DAY
    days = [(age * DAY, reports(rng, 300, mean, age * DAY)) for age in range(41)]
    curve = maturity_curve(days, MATURITY)
    assert curve.at(28 * DAY) == pytest.approx(1, abs=0.02)
    whole = 1 - math.exp(-int(curve.delays[-1]) / mean)
    for delay in (DAY, 3 * DAY, 7 * DAY, 14 * DAY):
        assert curve.at(delay) == pytest.approx((1 - math.exp(-delay / mean)) / whole, abs=0.02)
    places, counts = np.array([each for _, found in days for each in found.items()]).T
    naive = counts[places <= delay_bins([3 * DAY])[0]].sum() / counts.sum()
    assert naive > curve.at(3 * DAY) + 0.03, "who counts what is there is too sure"
    assert math.isnan(curve.at(2 * MATURITY))


def test_the_curve_is_the_product_limit_in_reversed_time() -> None:
    """By hand: of two days, one is too young for the longer delay."""
    short, long = delay_bins([HOUR, 5 * DAY]).tolist()
    curve = maturity_curve([(10 * DAY, {short: 4, long: 4}), (DAY, {short: 8})], MATURITY)
    # Of 8 with the chance to take long, half did; all short ones are below that.
    assert curve.at(int(EDGES_MS[short])) == pytest.approx(0.5)
    assert curve.reports == 16
    assert math.isnan(maturity_curve([], MATURITY).at(DAY))
    assert math.isnan(maturity_curve([(-DAY, {short: 3})], MATURITY).at(DAY))


@pytest.mark.parametrize(("slower", "found"), [(1.0, False), (1.15, False), (2.0, True)])
def test_only_labels_that_come_much_later_are_said_to(slower: float, found: bool) -> None:
    rng = np.random.default_rng(2)
    bound = math.log(365)
    watch = DelayWatch.of(reports(rng, 200, 3 * DAY), MATURITY)
    for day in range(100):
        watch = watch.step(FIRST + day, reports(rng, 20, 3 * DAY), bound)
    assert watch.said(bound) is None
    for day in range(100, 140):
        watch = watch.step(FIRST + day, reports(rng, 20, slower * 3 * DAY), bound)
    said = watch.said(bound)
    assert (said is not None) == found
    if said is not None:
        assert "labels come later: " in said


def test_a_day_without_reports_says_nothing_of_delays() -> None:
    watch = DelayWatch.of({5: 10}, MATURITY)
    assert watch.step(FIRST, {}, 5.0) == watch
    assert DelayWatch().step(FIRST, {5: 10}, 5.0) == DelayWatch()
