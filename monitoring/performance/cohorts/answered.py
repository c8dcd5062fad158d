"""What was answered, by decision: known at once, without labels. Sums that add up in any order."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import APPROVE, DECLINE, REVIEW
from inference.shadow.statistics.costs import Costs
from inference.shadow.statistics.moments import STEP, Moments, in_steps


@dataclass(frozen=True)
class Answered:
    """Events of one decision.

    Attributes:
        probabilities: of fraud; their squares tell the variance of how many were.
        not_scored: events that the policy's fallback answered, or without a probability.
        cost: what they cost in expectation, in steps of 2^-24; of `priced` events.
        cost_variance: of that, if each is fraud by its probability, in the same steps.
        priced: scored events whose amount is known, where it matters.
        cost_squares: of what each costs in expectation, in the same steps.
    """

    probabilities: Moments = field(default_factory=Moments)
    not_scored: int = 0
    cost: int = 0
    cost_variance: int = 0
    priced: int = 0
    cost_squares: int = 0

    @classmethod
    def of(
        cls,
        decision: int,
        probabilities: NDArray[np.float64],
        amounts: NDArray[np.float64],
        costs: Costs | None,
    ) -> "Answered":
        """Take in n events of this decision.

        Args:
            probabilities: of fraud, calibrated; ``NaN`` where there is none, (n,).
            amounts: ``NaN`` where unknown, (n,).
            costs: None for none.
        """
        scored = ~np.isnan(probabilities)
        fraud, amount = probabilities[scored], amounts[scored]
        answered = cls(Moments.of(fraud), int((~scored).sum()))
        if costs is None:
            return answered
        if decision == APPROVE:
            known = ~np.isnan(amount)
            fraud, at_fraud = fraud[known], np.clip(amount[known], 0, costs.cap)
            at_legitimate = np.zeros(len(fraud))
        else:
            at_fraud = np.full(len(fraud), costs.review if decision == REVIEW else 0.0)
            at_legitimate = np.full(len(fraud), costs.friction) if decision == DECLINE else at_fraud
        cost = fraud * at_fraud + (1 - fraud) * at_legitimate
        return cls(
            answered.probabilities,
            answered.not_scored,
            _sum(cost),
            _sum(fraud * (1 - fraud) * (at_fraud - at_legitimate) ** 2),
            len(fraud),
            _sum(cost**2),
        )

    def __add__(self, other: "Answered") -> "Answered":
        return Answered(
            self.probabilities + other.probabilities,
            self.not_scored + other.not_scored,
            self.cost + other.cost,
            self.cost_variance + other.cost_variance,
            self.priced + other.priced,
            self.cost_squares + other.cost_squares,
        )

    @property
    def events(self) -> int:
        """How many."""
        return self.probabilities.count + self.not_scored

    @property
    def expected_frauds(self) -> float:
        """Σ p over the scored ones."""
        return self.probabilities.total * STEP

    @property
    def fraud_variance(self) -> float:
        """Σ p (1 - p): of how many are fraud, if each is by its probability."""
        return max(self.expected_frauds - self.probabilities.squares * STEP * STEP, 0.0)


def _sum(values: NDArray[np.float64]) -> int:
    return sum(in_steps(values))
