"""Who is right, on mature events, and what it costs not to be: counts that add up."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import APPROVE
from inference.shadow.statistics.betting import Capital, harm, non_inferiority, superiority
from inference.shadow.statistics.costs import Costs, loss_differences
from inference.shadow.statistics.moments import Moments


@dataclass(frozen=True)
class CostEvidence:
    """Evidence on what decisions cost.

    Attributes:
        better, no_worse, worse: that the candidate costs less, no more than the margin more, more.
        differences: see `cost_differences`.
        discordant: mature events with other decisions, of those that count.
        frauds: of those that count.
        without_amount: mature events that are left out, since nobody knows what was at stake.
    """

    better: Capital = field(default_factory=Capital)
    no_worse: Capital = field(default_factory=Capital)
    worse: Capital = field(default_factory=Capital)
    differences: Moments = field(default_factory=Moments)
    discordant: int = 0
    frauds: int = 0
    without_amount: int = 0

    @classmethod
    def of(
        cls,
        differences: NDArray[np.float64],
        discordant: NDArray[np.bool_],
        frauds: NDArray[np.bool_],
        weights: NDArray[np.int64],
        *,
        worst: float,
        margin: float,
    ) -> "CostEvidence":
        """Take in n mature events.

        Args:
            differences: see `cost_differences`, (n,).
            discordant: whether the models decided otherwise, (n,).
            frauds: (n,).
            weights: events that each stands for, (n,). Only of those with equal decisions some may
                be left out. The mean counts these, and the evidence does not: so it is too little
                rather than too much.
            worst: the most that a difference can be.
            margin: by how much more a candidate may cost and still be no worse.
        """
        known = ~np.isnan(differences)
        other = differences[known & discordant]
        same = known & ~discordant
        return cls(
            superiority(other, worst),
            non_inferiority(other, worst, margin, int(same.sum())) if margin else Capital(),
            harm(other, worst),
            Moments.of(other, int(weights[same].sum())),
            other.size,
            int(weights[known & frauds].sum()),
            int(weights[~known].sum()),
        )

    def __add__(self, other: "CostEvidence") -> "CostEvidence":
        return CostEvidence(
            self.better + other.better,
            self.no_worse + other.no_worse,
            self.worse + other.worse,
            self.differences + other.differences,
            self.discordant + other.discordant,
            self.frauds + other.frauds,
            self.without_amount + other.without_amount,
        )


def cost_differences(
    rows: NDArray[np.void], frauds: NDArray[np.bool_], costs: Costs
) -> NDArray[np.float64]:
    """The champion's loss minus the candidate's of each mature event, (n,).

    ``NaN`` where nobody knows what was at stake.
    """
    amounts, champion, candidate = rows["amount"], rows["champion"], rows["candidate"]
    known = ~np.isnan(amounts)
    other = known & (champion != candidate)
    found = np.where(known, 0.0, np.nan)
    found[other] = loss_differences(
        champion[other], candidate[other], frauds[other], amounts[other], costs
    )
    return found


@dataclass(frozen=True)
class ClassEvidence:
    """Of one class, frauds or legitimate: how many, and where only one model was right.

    Right is to approve what is legitimate, and to stop, or look at, what is fraud.
    """

    events: int = 0
    champion_right: int = 0
    candidate_right: int = 0
    only_champion: int = 0
    only_candidate: int = 0

    @classmethod
    def of(
        cls,
        champion: NDArray[np.int8],
        candidate: NDArray[np.int8],
        weights: NDArray[np.int64],
        *,
        frauds: bool,
    ) -> "ClassEvidence":
        """Take in the decisions on n events of the class, and how many each stands for."""
        first, second = ((each != APPROVE) == frauds for each in (champion, candidate))
        return cls(
            int(weights.sum()),
            int(weights[first].sum()),
            int(weights[second].sum()),
            int(weights[first & ~second].sum()),
            int(weights[second & ~first].sum()),
        )

    def __add__(self, other: "ClassEvidence") -> "ClassEvidence":
        return ClassEvidence(
            self.events + other.events,
            self.champion_right + other.champion_right,
            self.candidate_right + other.candidate_right,
            self.only_champion + other.only_champion,
            self.only_candidate + other.only_candidate,
        )
