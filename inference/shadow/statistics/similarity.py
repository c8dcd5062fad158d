"""How alike two models are on the same events, without labels: counters that add up.

All is kept as whole numbers, so that the parts of partitions, spans and workers sum to the same
bits as the whole. Scores are binned by their logit: 256 bins from -12 to 12 are .094 wide, so that
a probability is known to a tenth of its odds; what is read from bins is that of binned scores.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inference.shadow.statistics.moments import STEP, in_steps

BINS = 256
REACH = 12.0
"""Logits beyond it, on either side, are in the outermost bins."""


@dataclass(frozen=True)
class MatchedFlips:
    """Events that only one model alerts on, if both alert on about equally many.

    The rates are those that bins allow: the alerts' shares of all scored events.
    """

    champion_rate: float
    candidate_rate: float
    champion_only: int
    candidate_only: int


@dataclass(frozen=True)
class Similarity:
    """Counts of pairs: champion by row, candidate by column.

    Attributes:
        decisions: of each pair of decision codes, champion's times 3 plus candidate's, (9,).
        amounts: the amounts behind each, in steps of 2^-24, (9,).
        without_amount: pairs whose amount is unknown, and in no sum.
        cells: pairs by bins of both scores, champion's times `BINS` plus candidate's.
        not_scored: pairs where a score is ``NaN``, and in no cell.
    """

    decisions: tuple[int, ...] = (0,) * 9
    amounts: tuple[int, ...] = (0,) * 9
    without_amount: int = 0
    cells: dict[int, int] = field(default_factory=dict)
    not_scored: int = 0

    @classmethod
    def of(
        cls,
        champion: ArrayLike,
        candidate: ArrayLike,
        champion_scores: ArrayLike,
        candidate_scores: ArrayLike,
        amounts: ArrayLike,
    ) -> "Similarity":
        """Count pairs of decision codes, probabilities and amounts, (n,) each.

        Raises:
            ValueError: shapes differ, a decision is none of 0, 1, 2, a score lies outside [0, 1],
                or an amount is infinite.
        """
        first, second = np.asarray(champion), np.asarray(candidate)
        scores = [np.asarray(each, np.float64) for each in (champion_scores, candidate_scores)]
        amount = np.asarray(amounts, np.float64)
        if len({each.shape for each in (first, second, amount, *scores)}) > 1:
            raise ValueError("decisions, scores and amounts must have one shape, (n,)")
        if not (np.isin(first, (0, 1, 2)) & np.isin(second, (0, 1, 2))).all():
            raise ValueError("decisions must be 0, 1 or 2")
        pair = first.astype(np.int64) * 3 + second
        known = ~np.isnan(amount)
        sums = [0] * 9
        for place, step in zip(pair[known].tolist(), in_steps(amount[known]), strict=True):
            sums[place] += step
        scored = ~np.isnan(scores[0]) & ~np.isnan(scores[1])
        bins = [bins_of(each[scored]) for each in scores]
        cells, counts = np.unique(bins[0] * BINS + bins[1], return_counts=True)
        return cls(
            tuple(np.bincount(pair, minlength=9).tolist()),
            tuple(sums),
            int((~known).sum()),
            dict(zip(cells.tolist(), counts.tolist(), strict=True)),
            int((~scored).sum()),
        )

    def __add__(self, other: "Similarity") -> "Similarity":
        return Similarity(
            tuple(a + b for a, b in zip(self.decisions, other.decisions, strict=True)),
            tuple(a + b for a, b in zip(self.amounts, other.amounts, strict=True)),
            self.without_amount + other.without_amount,
            dict(Counter(self.cells) + Counter(other.cells)),
            self.not_scored + other.not_scored,
        )

    @property
    def decision_counts(self) -> NDArray[np.int64]:
        """Champion's decision by candidate's, (3, 3)."""
        return np.array(self.decisions, np.int64).reshape(3, 3)

    @property
    def decision_amounts(self) -> NDArray[np.float64]:
        """The amounts behind each, (3, 3)."""
        return np.array([each * STEP for each in self.amounts]).reshape(3, 3)

    def flips(self, decision: int) -> tuple[int, int]:
        """Pairs where only the champion, and only the candidate, decided this or more strictly."""
        counts = self.decision_counts
        return int(counts[decision:, :decision].sum()), int(counts[:decision, decision:].sum())

    @property
    def score_counts(self) -> NDArray[np.int64]:
        """Champion's bin by candidate's, (`BINS`, `BINS`); its sums are both distributions."""
        table = np.zeros(BINS * BINS, np.int64)
        table[list(self.cells)] = list(self.cells.values())
        return table.reshape(BINS, BINS)


def bin_edges() -> NDArray[np.float64]:
    """The lowest probability of each bin, (`BINS`,), 0 for the first."""
    edges = np.linspace(-REACH, REACH, BINS + 1)[:-1]
    return np.append(0.0, 1 / (1 + np.exp(-edges[1:])))


def bins_of(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bins of probabilities (n,), in their order, 0 to `BINS` - 1.

    Raises:
        ValueError: a score lies outside [0, 1], or is ``NaN``.
    """
    if len(scores) and not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError("scores must lie in [0, 1]: the bins are of probabilities")
    return np.asarray(np.searchsorted(bin_edges(), scores, side="right") - 1)


def flips_at_rate(score_counts: NDArray[np.int64], rate: float) -> MatchedFlips:
    """Who alerts alone if each model alerts on the share ``rate`` of events, as near as bins allow.

    Raises:
        ValueError: nothing was scored.
    """
    total = int(score_counts.sum())
    if not total:
        raise ValueError("nothing was scored")
    bounds: list[int] = []
    rates: list[float] = []
    for axis in (1, 0):
        # Alerts from each bin on; one more bound alerts on nothing.
        alerts = np.append(np.cumsum(score_counts.sum(axis=axis)[::-1])[::-1], 0) / total
        bounds.append(int(np.abs(alerts - rate).argmin()))
        rates.append(float(alerts[bounds[-1]]))
    first, second = bounds
    return MatchedFlips(
        champion_rate=rates[0],
        candidate_rate=rates[1],
        champion_only=int(score_counts[first:, :second].sum()),
        candidate_only=int(score_counts[:first, second:].sum()),
    )


def rank_correlations(score_counts: NDArray[np.int64]) -> tuple[float, float]:
    """Spearman's ρ and Kendall's τ-b of binned scores; ``NaN`` where one model has but one bin.

    Kendall, Rank Correlation Methods (1948), with ties: a contingency table's sums give both.
    """
    table = score_counts.astype(np.float64)
    total = table.sum()
    sums = table.sum(axis=1), table.sum(axis=0)
    ranks = [np.cumsum(each) - each / 2 - total / 2 for each in sums]
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = [(each * rank * rank).sum() for each, rank in zip(sums, ranks, strict=True)]
        spearman = (ranks[0] @ table @ ranks[1]) / np.sqrt(spread[0] * spread[1])
        # Pairs further on in both, minus those further on in one and back in the other.
        later = np.zeros_like(table)
        later[:-1] = np.cumsum(table[::-1], axis=0)[::-1][1:]
        right = later.sum(axis=1, keepdims=True) - np.cumsum(later, axis=1)
        left = np.cumsum(later, axis=1) - later
        agreement = (table * (right - left)).sum()
        untied = [(total * total - (each * each).sum()) / 2 for each in sums]
        kendall = agreement / np.sqrt(untied[0] * untied[1])
    return float(spearman), float(kendall)
