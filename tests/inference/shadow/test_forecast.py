import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.shadow.statistics.betting import BETS, log_factors
from inference.shadow.statistics.forecast import Forecast, date_of, labels_still_needed


def test_steady_growth_by_hand() -> None:
    """Ten blocks of 5 labels add .1 each: E is e, and ln 20 - 1 is left at .02 a label."""
    found = labels_still_needed(
        np.full(10, 5), np.full((10, 1), 0.1), 0.05, np.random.default_rng(1)
    )
    left = math.ceil((math.log(20) - 1) / 0.02)
    assert found == Forecast(left, left, left)


def test_only_the_last_half_of_labels_and_the_leading_bet_count() -> None:
    gains = np.array([[0.0, 0.0]] * 10 + [[0.05, -0.1]] * 10)
    found = labels_still_needed(np.ones(20), gains, 0.05, np.random.default_rng(1))
    evidence = np.logaddexp(0.5, -1.0) - math.log(2)
    assert found.labels == math.ceil((math.log(20) - evidence) / 0.05)


def test_no_growth_is_not_in_sight_and_enough_evidence_needs_nothing() -> None:
    generator = np.random.default_rng(1)
    assert labels_still_needed(np.ones(20), np.full((20, 1), -0.01), 0.05, generator) == Forecast(
        None, None, None
    )
    assert labels_still_needed(np.ones(3), np.ones((3, 1)), 0.05, generator) == Forecast(0, 0, 0)
    assert labels_still_needed(np.ones(3), np.full((3, 1), 0.1), 0.05, generator).labels is None
    assert labels_still_needed([], np.empty((0, 1)), 0.05, generator).labels is None


def test_growth_that_may_be_none_has_an_open_end() -> None:
    gains = np.random.default_rng(2).normal(0.02, 0.1, (60, 1))
    found = labels_still_needed(np.ones(60), gains, 1e-6, np.random.default_rng(3))
    assert found.labels is not None
    assert found.low is not None
    assert found.low < found.labels
    assert found.high is None or found.high > found.labels


def test_the_forecast_is_about_right() -> None:
    """Of 60/40 differences, looked at after 60 labels, against where E = 1/alpha came about."""
    generator = np.random.default_rng(4)
    ratios = []
    for _ in range(80):
        values = np.where(generator.random(3_000) < 0.65, 1.0, -1.0)
        gains = log_factors(values, 1.0)
        path = np.logaddexp.reduce(np.cumsum(gains, axis=0), axis=1) - math.log(BETS)
        reached = int((path >= math.log(1_000)).argmax())
        blocks = gains[:60].reshape(12, 5, BETS).sum(axis=1)
        found = labels_still_needed(np.full(12, 5), blocks, 0.001, generator)
        if found.labels is not None and reached > 60:
            ratios.append(found.labels / (reached - 60))
    assert len(ratios) > 50
    assert 0.6 < np.median(ratios) < 1.6


TIMES, CURVE = [1_000, 2_000, 3_000], [0, 10, 40]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(0, 1_000), (5, 1_500), (10, 2_000), (25, 2_500), (40, 3_000), (80, 5_000), (None, None)],
)
def test_the_date_is_read_off_the_curve_and_beyond_it_by_its_mean(
    labels: int | None, expected: int | None
) -> None:
    assert date_of(labels, TIMES, CURVE) == expected


def test_where_no_label_matures_no_date_is_in_sight() -> None:
    assert date_of(3, [1_000, 2_000], [0, 0]) is None
    assert date_of(0, [1_000, 2_000], [0, 0]) == 1_000


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(0, 90))
def test_more_labels_are_never_there_earlier(steps: list[int], labels: int) -> None:
    curve = np.append(0, np.cumsum(steps))
    times = np.arange(len(curve)) * 10
    now, later = date_of(labels, times, curve), date_of(labels + 1, times, curve)
    if later is not None:
        assert now is not None
        assert now <= later


def test_bad_columns_are_refused() -> None:
    generator = np.random.default_rng(1)
    with pytest.raises(ValueError, match=r"\(m, K\)"):
        labels_still_needed([1, 2], [0.1, 0.2], 0.05, generator)
    for times, curve in (([1], [0]), ([2, 1], [0, 1]), ([1, 2], [1, 2]), ([1, 2, 3], [0, 2, 1])):
        with pytest.raises(ValueError, match="maturity curve"):
            date_of(1, times, curve)


@pytest.mark.parametrize("labels", [10**12, 10**18, 10**300])
def test_what_is_beyond_all_dates_is_not_in_sight(labels: int) -> None:
    """Evidence may grow as slowly as it likes."""
    assert date_of(labels, [0, 86_400_000], [0, 10]) is None
