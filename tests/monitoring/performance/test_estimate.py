"""Estimates without labels, and when they are not to be trusted."""

import numpy as np
import pytest
from cohort_world import FIRST, cohort_of, day_of, truth_of

from monitoring.performance.cohorts.cohort import Cohort
from monitoring.performance.cohorts.figures import Figures
from monitoring.performance.estimate import CalibrationWatch, estimate


def test_an_estimate_holds_what_labels_say_as_often_as_it_promises() -> None:
    rng = np.random.default_rng(1)
    inside = np.zeros(3)
    for _ in range(60):
        cohort = cohort_of(day_of(rng, 4_000))
        said, found = estimate(cohort, None), Figures.of(cohort.truth)
        for place, name in enumerate(("precision", "recall", "cost")):
            low, high = getattr(said, name)[1:]
            inside[place] += low <= getattr(found, name).value <= high
    assert (inside >= 52).all(), inside


def test_nothing_is_estimated_of_nothing() -> None:
    assert estimate(Cohort(), "because") == estimate(Cohort(), "because")
    said = estimate(Cohort(), None)
    assert (said.precision, said.recall, said.cost) == (None, None, None)


def watched(rng: np.random.Generator, days: int, odds: float, events: int) -> list[bool]:
    watch, said = CalibrationWatch(), []
    for day in range(days):
        truth = truth_of(day_of(rng, events, odds=odds))
        watch = watch.step(FIRST + day, truth.calibration)
        said.append(watch.not_trusted is not None)
    return said


@pytest.mark.parametrize("odds", [0.8, 1.25])
def test_true_probabilities_are_trusted_and_those_within_the_tolerance(odds: float) -> None:
    """150 days, at one false alarm in 365."""
    assert not any(watched(np.random.default_rng(2), 150, odds, 1_000))


@pytest.mark.parametrize("odds", [0.3, 3.0])
def test_wrong_ones_are_found_within_days_however_long_they_were_true(odds: float) -> None:
    rng = np.random.default_rng(3)
    watch = CalibrationWatch()
    for day in range(100):
        watch = watch.step(day, truth_of(day_of(rng, 1_000)).calibration)
    assert watch.not_trusted is None
    for day in range(100, 130):
        watch = watch.step(day, truth_of(day_of(rng, 1_000, odds=odds)).calibration)
        if watch.not_trusted is not None:
            break
    assert day <= 112
    said = watch.not_trusted
    assert said is not None
    assert "are not true any more" in said
    for day in range(130, 190):
        watch = watch.step(day, truth_of(day_of(rng, 1_000)).calibration)
    assert watch.not_trusted is None, "it ends when they are true again"
