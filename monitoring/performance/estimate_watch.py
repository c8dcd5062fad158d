"""Loss of performance before labels come: by what probabilities say of decisions (CBPE).

Each day that is over is a step of two detectors. Per event, X is what recall or cost lacks:

* recall: X = p (1[approved] - (1 - r)), which is 0 in the mean where the recall is r, the limit;
* cost: X = e - c, with e what the decision costs in expectation and c the limit.

As ln(1 + x) >= x - x² from x = -1/2 on, exp(λ ΣX - λ² ΣX²) is an e-value for any number of events
(Fan, Grama and Liu, Electronic Journal of Probability 20 (2015)).

Limits are estimates of the model's first days, so probabilities that were always off by the same
factor make no alarm. Whether they still are true, labels tell later: see `CalibrationWatch`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import APPROVE
from inference.shadow.statistics.costs import Costs
from inference.shadow.statistics.moments import STEP
from monitoring.performance.cohorts.answered import Answered
from monitoring.performance.detector import Detector
from monitoring.performance.watch import Figure, PerformanceLoss, WatchTerms

FIGURES: tuple[Figure, ...] = ("cost", "recall")
_ERRORS = 2.0
"""A reference is a guess: it is taken to be so many standard errors worse."""
_SHARES = np.array([1.0, 0.5, 0.25, 0.125])
"""Bets on the recall, as shares of the largest."""
_STAKES = np.array([0.5, 2.0, 8.0, 32.0])
"""Bets on the cost, in parts of the most that an event can cost."""


class Sums(NamedTuple):
    """Sums over scored events.

    Attributes:
        missed, caught: of p, of approved events and of alerts; `missed_squares`, ... of p².
        priced, cost, cost_squares: events whose cost is known, their costs in expectation, and the
            squares of these.
    """

    missed: float = 0.0
    caught: float = 0.0
    missed_squares: float = 0.0
    caught_squares: float = 0.0
    priced: float = 0.0
    cost: float = 0.0
    cost_squares: float = 0.0

    @classmethod
    def of(cls, answered: Sequence[Answered]) -> "Sums":
        """The sums of a cohort, by code of the decision."""
        totals = [each.expected_frauds for each in answered]
        squares = [each.probabilities.squares * STEP * STEP for each in answered]
        after = APPROVE + 1
        return cls(
            totals[APPROVE],
            sum(totals[after:]),
            squares[APPROVE],
            sum(squares[after:]),
            float(sum(each.priced for each in answered)),
            sum(each.cost for each in answered) * STEP,
            sum(each.cost_squares for each in answered) * STEP,
        )

    def plus(self, other: "Sums") -> "Sums":
        """The sums over both."""
        return Sums(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class EstimateWatch:
    """The watch over one model; a few numbers, as JSON.

    Attributes:
        cost, recall: up to where they are no loss; None until the baseline is there, or without.
        baseline, days: what these are made of.
        detectors: by place in `FIGURES`.
        last: the latest day that was taken in.
    """

    cost: float | None = None
    recall: float | None = None
    baseline: Sums = field(default_factory=Sums)
    days: int = 0
    detectors: tuple[Detector, Detector] = (Detector(), Detector())
    last: int = -1

    def step(self, day: int, sums: Sums, terms: WatchTerms, costs: Costs | None) -> "EstimateWatch":
        """The watch after a further day that is over; nothing for an earlier one."""
        if day <= self.last or not sums.missed + sums.caught:
            return self
        known = self.baseline
        if self.days < terms.baseline_days or known.missed + known.caught < terms.baseline_frauds:
            baseline = known.plus(sums)
            cost, recall = _limits(baseline, terms.tolerance)
            return replace(
                self, cost=cost, recall=recall, baseline=baseline, days=self.days + 1, last=day
            )
        of_cost, of_recall = self.detectors
        bound = enough(terms)
        if self.cost is not None and costs is not None and sums.priced:
            log_e = _of_cost(sums, self.cost, costs.worst_difference)
            of_cost = of_cost.step(day, log_e, bound, sums.cost, sums.priced)
        if self.recall is not None:
            frauds = sums.missed + sums.caught
            of_recall = of_recall.step(
                day, _of_recall(sums, self.recall), bound, sums.caught, frauds
            )
        return replace(self, detectors=(of_cost, of_recall), last=day)

    def losses(self, terms: WatchTerms) -> list[PerformanceLoss]:
        """What is worse now, if probabilities are true."""
        bound = enough(terms)
        limits = self.cost, self.recall
        return [
            PerformanceLoss(
                figure, each.since, each.found / each.expected, limit, each.evidence, bound
            )
            for figure, each, limit in zip(FIGURES, self.detectors, limits, strict=True)
            if each.since is not None and limit is not None and each.evidence >= bound
        ]


def enough(terms: WatchTerms) -> float:
    """From which evidence on it is a loss."""
    return math.log(terms.days_between * len(FIGURES))


def _limits(sums: Sums, tolerance: float) -> tuple[float | None, float | None]:
    """Of cost at most, and of recall at least; None where nothing can be compared."""
    cost = recall = None
    if sums.priced and sums.cost:
        mean = sums.cost / sums.priced
        error = math.sqrt(max(sums.cost_squares / sums.priced - mean**2, 0.0) / sums.priced)
        cost = (1 + tolerance) * (mean + _ERRORS * error)
    frauds = sums.missed + sums.caught
    value = sums.caught / frauds
    error = math.sqrt((1 - value) ** 2 * sums.caught_squares + value**2 * sums.missed_squares)
    least = (1 - tolerance) * (value - _ERRORS * error / frauds)
    if least > 0:
        recall = least
    return cost, recall


def _of_recall(sums: Sums, limit: float) -> NDArray[np.float64]:
    """Log e-values against "the recall is ``limit`` at least", one for each bet."""
    bets = _SHARES / (2 * (1 - limit))  # λX >= -1/2, as X >= -(1 - limit)
    lacks = limit * sums.missed - (1 - limit) * sums.caught
    squares = limit**2 * sums.missed_squares + (1 - limit) ** 2 * sums.caught_squares
    return np.asarray(bets * lacks - bets**2 * squares)


def _of_cost(sums: Sums, limit: float, most: float) -> NDArray[np.float64]:
    """Log e-values against "an event costs ``limit`` at most", one for each bet."""
    bets = np.minimum(_STAKES / most, 1 / (2 * limit))  # λX >= -1/2, as X >= -limit
    beyond = sums.cost - sums.priced * limit
    squares = sums.cost_squares - 2 * limit * sums.cost + sums.priced * limit**2
    return np.asarray(bets * beyond - bets**2 * squares)
