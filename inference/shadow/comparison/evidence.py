"""Who is right, on mature events, and what it costs not to be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import APPROVE
from inference.shadow.comparison.maturity import Mature
from inference.shadow.comparison.pairs import Pairs
from inference.shadow.statistics.betting import Capital, harm, non_inferiority, superiority
from inference.shadow.statistics.costs import Costs, loss_differences


@dataclass(frozen=True)
class CostEvidence:
    """Evidence on what decisions cost.

    Attributes:
        better, no_worse, worse: that the candidate costs less, no more than the margin more, more.
        events: mature events that count.
        discordant: mature events with other decisions, of those that count.
        without_amount: mature events that are left out, since nobody knows what was at stake.
    """

    better: Capital
    no_worse: Capital
    worse: Capital
    events: int
    discordant: int
    without_amount: int

    @classmethod
    def of(
        cls,
        least: NDArray[np.float64],
        most: NDArray[np.float64],
        discordant: NDArray[np.bool_],
        worst: float,
        margin: float,
    ) -> "CostEvidence":
        """Take in n mature events.

        Args:
            least, most: differences, for what speaks for the candidate, and against it, (n,); of
                the same events ``NaN`` in both. See `inference.shadow.comparison.censored.Judged`.
            discordant: whether the models decided otherwise, (n,).
            worst: no value of `least` is below it negated, and none of `most` above it.
            margin: by how much more a candidate may cost and still be no worse.
        """
        known = ~np.isnan(least)
        other = least[known & discordant]
        events = int(known.sum())
        same = events - other.size
        return cls(
            superiority(other, worst),
            non_inferiority(other, worst, margin, same) if margin else Capital(),
            harm(most[known & discordant], worst),
            events,
            other.size,
            int((~known).sum()),
        )


def cost_differences(pairs: Pairs, mature: Mature, costs: Costs) -> NDArray[np.float64]:
    """The champion's loss minus the candidate's of each mature event, (m,).

    ``NaN`` where nobody knows what was at stake.
    """
    rows, amounts = mature.rows, pairs.amounts[mature.rows]
    champion, candidate = pairs.champion[rows], pairs.candidate[rows]
    known = ~np.isnan(amounts)
    other = known & (champion != candidate)
    found = np.where(known, 0.0, np.nan)
    found[other] = loss_differences(
        champion[other], candidate[other], mature.frauds[other], amounts[other], costs
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
