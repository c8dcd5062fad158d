"""Cohorts: what is counted, and that it adds up in any order."""

from dataclasses import replace

import numpy as np
import pytest
from cohort_world import COSTS, FIRST, GROUP, TERMS, cohort_of, day_of, truth_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from inference.policy.policy import APPROVE, DECLINE, REVIEW
from inference.shadow.statistics.costs import losses
from inference.shadow.statistics.moments import STEP
from inference.shadow.statistics.similarity import bins_of
from monitoring.performance.cohorts.calibration import TOLERANCE, bands_of, log_evidence
from monitoring.performance.cohorts.cohort import (
    DAY,
    Cohort,
    Group,
    answered_cohort,
    by_cohort,
    cohort_bytes,
    date_of,
    read_cohort,
    terms_of,
)
from monitoring.performance.cohorts.figures import Figures
from monitoring.performance.cohorts.loss_cells import cells_of, losses_at_least
from monitoring.performance.cohorts.truth import ROW, Truth, count


@given(st.integers(0, 2**32), st.integers(1, 6))
@settings(max_examples=12)
def test_parts_add_up_to_the_whole_in_any_order(seed: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    day = day_of(rng, 200, odds=20)
    day.rows["amount"][rng.random(200) < 0.1] = np.nan
    day.rows["probability"][rng.random(200) < 0.1] = np.nan
    day.rows["let_through"] = rng.random(200) < 0.1
    known = np.where(rng.random(200) < 0.3, -1, day.frauds).astype(np.int8)
    anomalous, delays = rng.random(200) < 0.2, rng.integers(0, 50, 200)

    def cohort(own: np.ndarray) -> Cohort:
        answered = answered_cohort(day.rows[own], anomalous[own], TERMS)
        truth = Truth.of(day.rows[own], known[own], TERMS)
        return replace(answered, reports=count(delays[own]), truth=truth)

    whole = cohort(np.arange(200))
    place = rng.integers(0, parts, 200)
    pieces = [cohort(np.flatnonzero(place == part)) for part in rng.permutation(parts)]
    added = sum(pieces, Cohort())
    assert added == whole
    assert cohort_bytes(added) == cohort_bytes(whole + Cohort())
    assert read_cohort(cohort_bytes(whole)) == whole


def test_counts_are_those_of_the_events() -> None:
    rng = np.random.default_rng(1)
    day = day_of(rng, 20_000)
    cohort, truth = cohort_of(day), truth_of(day)
    rows, fraud = day.rows, day.frauds
    alert = rows["decision"] != APPROVE
    assert (cohort.events, cohort.alerts) == (20_000, int(alert.sum()))
    assert (truth.events, sum(truth.frauds)) == (20_000, int(fraud.sum()))
    assert truth.caught == int((alert & fraud).sum())
    assert truth.false_alerts == int((alert & ~fraud).sum())
    lost = losses(rows["decision"], fraud, rows["amount"], COSTS)
    assert truth.cost.mean == pytest.approx(lost.mean(), abs=1e-6)
    figures = Figures.of(truth)
    assert figures.precision.value == pytest.approx(fraud[alert].mean())
    assert figures.recall.value == pytest.approx(alert[fraud].mean())
    assert figures.cost.error == pytest.approx(lost.std() / np.sqrt(20_000), rel=1e-3)
    binned = bins_of(rows["probability"].astype(np.float64))
    exact = average_precision_score(fraud, rows["probability"])
    assert figures.average_precision.value == pytest.approx(average_precision_score(fraud, binned))
    assert figures.average_precision.value == pytest.approx(exact, abs=0.01)


def test_the_error_of_average_precision_is_how_far_it_scatters() -> None:
    rng = np.random.default_rng(2)
    found = [Figures.of(truth_of(day_of(rng, 10_000))).average_precision for _ in range(40)]
    assert np.std([each.value for each in found]) == pytest.approx(
        np.mean([each.error for each in found]), rel=0.3
    )


def test_no_events_have_no_figures() -> None:
    assert all(np.isnan(each.value) for each in vars(Figures.of(Truth())).values())


def test_expected_cost_and_its_variance_are_those_of_the_draw() -> None:
    rng = np.random.default_rng(3)
    rows = day_of(rng, 300, odds=20).rows
    rows["probability"] = rng.random(300)
    cohort = answered_cohort(rows, np.zeros(300, np.bool_), TERMS)
    draws = [
        losses(rows["decision"], rng.random(300) < rows["probability"], rows["amount"], COSTS).sum()
        for _ in range(4_000)
    ]
    total = sum(each.cost for each in cohort.answered) * STEP
    variance = sum(each.cost_variance for each in cohort.answered) * STEP
    assert total == pytest.approx(np.mean(draws), abs=4 * np.std(draws) / np.sqrt(4_000))
    assert np.sqrt(variance) == pytest.approx(np.std(draws), rel=0.06)


def test_what_is_not_known_is_left_out_and_counted() -> None:
    rows = np.zeros(6, ROW)
    rows["decision"] = [APPROVE, APPROVE, REVIEW, DECLINE, DECLINE, APPROVE]
    rows["probability"] = [np.nan, 0.1, 0.2, 0.7, 0.8, 0.1]
    rows["amount"] = [np.nan, np.nan, 10, 10, 10, 10]
    rows["let_through"] = [False, False, False, False, True, False]
    known = np.array([1, 1, 0, 1, 0, -1], np.int8)
    truth = Truth.of(rows, known, TERMS)
    assert (truth.events, truth.unlabelled, truth.without_amount) == (6, 1, 2)
    assert truth.cost.mean == pytest.approx((5 + 0 + 20 + 0) / 4)
    assert sum(truth.fraud_scores.values()) == 2, "one fraud has no probability"
    told = sum(band.events for band in truth.calibration)
    assert told == 4, "the truth of a decline is told only where it was let through"
    left_out = Truth.of(rows, known, replace(TERMS, unlabelled_count=False))
    assert (left_out.events, left_out.unlabelled) == (5, 1)
    without = Truth.of(rows, known, replace(TERMS, costs=None))
    assert (without.cost.count, without.losses) == (0, {})
    answered = answered_cohort(rows, np.zeros(6, np.bool_), TERMS)
    assert [each.not_scored for each in answered.answered] == [1, 0, 0]
    assert [each.priced for each in answered.answered] == [1, 1, 2]


def test_days_groups_and_terms_are_kept_apart() -> None:
    rows = np.zeros(4, ROW)
    rows["time"] = [FIRST * DAY, FIRST * DAY - 1, FIRST * DAY + 5, FIRST * DAY]
    rows["group"] = [0, 0, 1, 1]
    groups = [GROUP, Group("bbbbbbbbbbbb", "travel")]
    found = by_cohort(rows, groups, TERMS, lambda own: int(own.sum()))
    own = terms_of(TERMS)
    assert found == {
        (FIRST - 1, GROUP.model, "", own): 1,
        (FIRST, GROUP.model, "", own): 1,
        (FIRST, "bbbbbbbbbbbb", "travel", own): 2,
    }
    assert str(date_of(FIRST)) == "2024-10-04"
    assert terms_of(replace(TERMS, slices=("country",), margin=0.5)) == own
    assert terms_of(replace(TERMS, maturity=DAY)) != own


def test_cells_of_losses_stand_for_a_little_less() -> None:
    values = np.array([0.0, 1e-9, 5.0, 20.0, 499.99, 500.0, 1e9])
    lower, counts = losses_at_least(count(cells_of(values)))
    assert counts.sum() == len(values)
    stands_for = np.sort(np.repeat(lower, counts))
    assert (stands_for <= values).all()
    assert (stands_for[2:] > values[2:] / 1.045).all()


@pytest.mark.parametrize("odds", [1 / TOLERANCE, 1.0, TOLERANCE])
def test_evidence_on_calibration_has_a_mean_of_one_at_most(odds: float) -> None:
    """For any probability, and odds within the tolerance: summed over both outcomes."""
    for p in (0.0004, 0.02, 0.3, 0.97):
        chance = odds * p / (1 - p + odds * p)
        fraud, other = (
            np.exp(log_evidence(bands_of(np.array([p]), np.array([truth])))[0])
            for truth in (True, False)
        )
        assert (chance * fraud + (1 - chance) * other <= 1 + 1e-9).all()
