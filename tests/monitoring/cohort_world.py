"""Simulated days of answers and what they were, as the performance monitor counts them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import APPROVE, DECLINE, REVIEW
from inference.shadow.comparison.terms import Terms
from inference.shadow.statistics.costs import Costs
from monitoring.performance.cohorts.cohort import DAY, Cohort, Group, answered_cohort
from monitoring.performance.cohorts.truth import ROW, Truth

COSTS = Costs(500.0, 20.0, 5.0)
TERMS = Terms(7 * DAY, True, "amount", COSTS, 0.0, (), 1_000)
GROUP = Group("aaaaaaaaaaaa")
FIRST = 20_000
"""A day, in days since the epoch."""


class Day(NamedTuple):
    """Answers of a day, and whether they were fraud."""

    rows: NDArray[np.void]
    frauds: NDArray[np.bool_]


def day_of(
    rng: np.random.Generator, events: int, *, day: int = FIRST, odds: float = 1.0, new: float = 0.0
) -> Day:
    """A day of a calibrated model that reviews from 5 % on, and declines from 50 % on.

    Args:
        odds: by how much the odds of fraud are not those that the model says.
        new: the share of frauds that are of a kind that the model does not know.
    """
    logits = rng.normal(-6, 2.0, events)
    fraud = rng.random(events) < 1 / (1 + np.exp(-logits - np.log(odds)))
    unknown = fraud & (rng.random(events) < new)
    logits[unknown] = rng.normal(-6, 2.0, int(unknown.sum()))
    seen = 1 / (1 + np.exp(-logits))
    rows = np.zeros(events, ROW)
    rows["hash"] = rng.integers(0, 2**63, events, dtype=np.uint64) * np.uint64(2)
    rows["time"] = day * DAY + rng.integers(0, DAY, events)
    rows["probability"] = seen
    rows["amount"] = rng.lognormal(4.3, 1.2, events)
    rows["decision"] = np.select([seen >= 0.5, seen >= 0.05], [DECLINE, REVIEW], APPROVE)
    return Day(rows, fraud)


def truth_of(day: Day, terms: Terms = TERMS) -> Truth:
    return Truth.of(day.rows, day.frauds.astype(np.int8), terms)


def cohort_of(day: Day, terms: Terms = TERMS) -> Cohort:
    answered = answered_cohort(day.rows, np.zeros(len(day.rows), np.bool_), terms)
    return answered + Cohort(truth=truth_of(day, terms))
