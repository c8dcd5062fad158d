"""Who is right, on mature events: counts and capital that add up over partitions and spans."""

from dataclasses import dataclass

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
        differences: the champion's loss minus the candidate's, of each event.
        without_amount: mature events that are left out, since nobody knows what was at stake.
    """

    better: Capital
    no_worse: Capital
    worse: Capital
    differences: Moments
    without_amount: int

    @classmethod
    def of(
        cls,
        champion: NDArray[np.int8],
        candidate: NDArray[np.int8],
        frauds: NDArray[np.bool_],
        amounts: NDArray[np.float64],
        costs: Costs,
        margin: float,
    ) -> "CostEvidence":
        """Take in n events: decision codes, the truth, amounts, (n,) each."""
        known = ~np.isnan(amounts)
        discordant = known & (champion != candidate)
        differences = loss_differences(
            champion[discordant],
            candidate[discordant],
            frauds[discordant],
            amounts[discordant],
            costs,
        )
        worst = costs.worst_difference
        same = int(known.sum() - discordant.sum())
        return cls(
            superiority(differences, worst),
            non_inferiority(differences, worst, margin, same) if margin else Capital(),
            harm(differences, worst),
            Moments.of(differences, same),
            int((~known).sum()),
        )

    def __add__(self, other: "CostEvidence") -> "CostEvidence":
        return CostEvidence(
            self.better + other.better,
            self.no_worse + other.no_worse,
            self.worse + other.worse,
            self.differences + other.differences,
            self.without_amount + other.without_amount,
        )


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
        cls, champion: NDArray[np.int8], candidate: NDArray[np.int8], *, frauds: bool
    ) -> "ClassEvidence":
        """Take in the decisions on n events of the class."""
        first, second = ((each != APPROVE) == frauds for each in (champion, candidate))
        return cls(
            first.size,
            int(first.sum()),
            int(second.sum()),
            int((first & ~second).sum()),
            int((second & ~first).sum()),
        )

    def __add__(self, other: "ClassEvidence") -> "ClassEvidence":
        return ClassEvidence(
            self.events + other.events,
            self.champion_right + other.champion_right,
            self.candidate_right + other.candidate_right,
            self.only_champion + other.only_champion,
            self.only_candidate + other.only_candidate,
        )
