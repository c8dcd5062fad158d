"""What a stream is compared with, made ready for the detectors: all features in arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitoring.statistics.bets import log_bound, place_bets, shares

EVIDENCE_TOLERANCE = 0.002
"""A chi-squared distance that is none: of what a stream does by itself, from week to week."""


class Yardstick:
    """The reference's shares of F features over B bins, in H groups of events, and K bets on them.

    Groups are hours of the week, or all events. Features have bins and bets of their own: what
    one has fewer of is filled up with what counts for nothing.

    Args:
        names: of the features.
        counts: of each, of the reference's rows: (groups, bins), one group or as many as others.
        inflation: of each; see `inference.packages.autocorrelation`.
        delta: a chi-squared distance, or PSI, that does not matter.

    Attributes:
        sizes: bins that each feature has, (F,).
        share: (F, H, B).
        rows: independent ones that it comes from, (F, H).
        log_ratio: of the bets, (F, K, B).
        log_weight: (F, K), -inf for none.
        costs: of the bets per event as evidence, (F, H, K).
        costs_beyond: the same, against shares that are `delta` away, (F, H, K).
    """

    def __init__(
        self,
        names: Sequence[str],
        counts: Sequence[NDArray[np.float64]],
        inflation: Sequence[float],
        *,
        delta: float,
    ) -> None:
        self.names = list(names)
        self.delta = delta
        self.inflation = np.asarray(inflation, np.float64)
        self.sizes = np.array([each.shape[1] for each in counts])
        features, bins = len(counts), int(self.sizes.max(initial=0))
        groups = max((len(each) for each in counts), default=1)
        self.share = np.ones((features, groups, bins))
        self.rows = np.ones((features, groups))
        placed = []
        for place, (each, size) in enumerate(zip(counts, self.sizes, strict=True)):
            self.share[place, :, :size] = shares(each)
            self.rows[place] = each.sum(axis=1) / self.inflation[place]
            placed.append(place_bets(shares(each.sum(axis=0))))
        most = max((len(bets.weight) for bets in placed), default=0)
        self.log_ratio = np.zeros((features, most, bins))
        self.log_weight = np.full((features, most), -np.inf)
        self.costs = np.zeros((features, groups, most))
        self.costs_beyond = np.zeros((features, groups, most))
        for place, (bets, size) in enumerate(zip(placed, self.sizes, strict=True)):
            count = len(bets.weight)
            self.log_ratio[place, :count, :size] = bets.log_ratio
            self.log_weight[place, :count] = np.log(bets.weight)
            share, rows = self.share[place, :, :size], self.rows[place]
            self.costs[place, :, :count] = log_bound(bets, share, rows, EVIDENCE_TOLERANCE)
            self.costs_beyond[place, :, :count] = log_bound(bets, share, rows, delta)

    def expected(self, feature: int, groups: NDArray[np.int64]) -> NDArray[np.float64]:
        """The shares (bins,) of events that fall on groups as these counts (H,) say."""
        weights = groups / groups.sum()
        return np.asarray(weights @ self.share[feature, :, : self.sizes[feature]])
