"""What a decision costs once the truth is known, and how much two models differ.

| | fraud | legitimate |
|---|---|---|
| approve | min(amount, cap) | 0 |
| review | review | review |
| decline | 0 | friction |

The cap bounds the worst case, which the evidence needs: at the 99.5 % quantile of amounts it costs
at most 1.2 times the labels. A verdict states it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inference.policy.policy import APPROVE, DECLINE, REVIEW


@dataclass(frozen=True)
class Costs:
    """In the currency of amounts: a missed fraud's most, a false decline, and a review."""

    cap: float
    friction: float
    review: float

    @property
    def worst_difference(self) -> float:
        """b: the most by which one model's loss can exceed another's, on one event."""
        return max(self.cap, self.friction, self.review)


def losses(
    decisions: ArrayLike, frauds: ArrayLike, amounts: ArrayLike, costs: Costs
) -> NDArray[np.float64]:
    """Loss of each decision, (n,); an amount below 0, such as a refund's, counts as 0.

    Args:
        decisions: codes, as `inference.policy.policy.DECISIONS`, (n,).
        frauds: the truth, 0 or 1, (n,).
        amounts: (n,).
        costs: in the same currency.

    Raises:
        ValueError: shapes differ, or a missed fraud's amount is ``NaN``.
    """
    decided, fraud = np.asarray(decisions), np.asarray(frauds).astype(np.bool_)
    amount = np.asarray(amounts, np.float64)
    if not decided.shape == fraud.shape == amount.shape:
        raise ValueError(
            f"decisions {decided.shape}, frauds {fraud.shape} and amounts {amount.shape}"
            " must have one shape"
        )
    missed = fraud & (decided == APPROVE)
    if np.isnan(amount[missed]).any():
        raise ValueError("the amount of a missed fraud is NaN: leave out events without one")
    lost = np.where(missed, np.clip(amount, 0, costs.cap), 0.0)
    lost[~fraud & (decided == DECLINE)] = costs.friction
    lost[decided == REVIEW] = costs.review
    return lost


def loss_differences(
    champion: ArrayLike, candidate: ArrayLike, frauds: ArrayLike, amounts: ArrayLike, costs: Costs
) -> NDArray[np.float64]:
    """D, the champion's loss minus the candidate's, (n,): above 0 where the candidate did better.

    Raises:
        ValueError: as for `losses`.
    """
    return losses(champion, frauds, amounts, costs) - losses(candidate, frauds, amounts, costs)
