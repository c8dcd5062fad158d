"""Who is right, on mature events, and what it costs not to be: counts that add up."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import APPROVE
from inference.shadow.comparison.censored import Censored, Ends, Judged
from inference.shadow.statistics.betting import Capital, harm, non_inferiority, superiority
from inference.shadow.statistics.moments import Moments


@dataclass(frozen=True)
class Range:
    """Moments of differences at their least, and at their most."""

    least: Moments = field(default_factory=Moments)
    most: Moments = field(default_factory=Moments)

    def __add__(self, other: "Range") -> "Range":
        return Range(self.least + other.least, self.most + other.most)


@dataclass(frozen=True)
class CostEvidence:
    """Evidence on what decisions cost.

    Attributes:
        better, no_worse, worse: that the candidate costs less, no more than the margin more, more.
        estimate, bounds: see `Judged`.
        discordant: mature events with other decisions, of those that count.
        frauds: of those that count.
        without_amount: mature events that are left out, since nobody knows what was at stake.
        censored: of those that count.
    """

    better: Capital = field(default_factory=Capital)
    no_worse: Capital = field(default_factory=Capital)
    worse: Capital = field(default_factory=Capital)
    estimate: Range = field(default_factory=Range)
    bounds: Range = field(default_factory=Range)
    discordant: int = 0
    frauds: int = 0
    without_amount: int = 0
    censored: Censored = field(default_factory=Censored)

    @classmethod
    def of(
        cls,
        judged: Judged,
        discordant: NDArray[np.bool_],
        frauds: NDArray[np.bool_],
        weights: NDArray[np.int64],
        *,
        worst: float,
        margin: float,
    ) -> "CostEvidence":
        """Take in n mature events.

        Args:
            discordant: whether the models decided otherwise, (n,).
            frauds: (n,).
            weights: events that each stands for, (n,). Only of those with equal decisions some may
                be left out. The mean counts these, and the evidence does not: so it is too little
                rather than too much.
            worst: the most that a difference can be.
            margin: by how much more a candidate may cost and still be no worse.
        """
        certain = judged.certain
        known = ~np.isnan(certain.least)
        same, other = known & ~discordant, known & discordant
        equal = int(weights[same].sum())

        def moments(ends: Ends) -> Range:
            return Range(*(Moments.of(each[other], equal) for each in ends))

        least, most = certain.least[other], certain.most[other]
        return cls(
            superiority(least, worst),
            non_inferiority(least, worst, margin, int(same.sum())) if margin else Capital(),
            harm(most, worst),
            moments(judged.estimate),
            moments(judged.bounds),
            int(other.sum()),
            int(weights[known & frauds].sum()),
            int(weights[~known].sum()),
            judged.censored,
        )

    @property
    def events(self) -> int:
        """Mature events that count."""
        return self.estimate.least.count

    def __add__(self, other: "CostEvidence") -> "CostEvidence":
        return CostEvidence(
            self.better + other.better,
            self.no_worse + other.no_worse,
            self.worse + other.worse,
            self.estimate + other.estimate,
            self.bounds + other.bounds,
            self.discordant + other.discordant,
            self.frauds + other.frauds,
            self.without_amount + other.without_amount,
            self.censored + other.censored,
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
