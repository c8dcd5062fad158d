"""What a stream is compared with, made ready for the detectors: all features in arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitoring.statistics.bets import SMOOTHED, log_bound, place_bets, shares, slack_of

EVIDENCE_TOLERANCE = 0.002
"""A chi-squared distance that is none: of what a stream does by itself, from week to week."""


class Yardstick:
    """The reference's shares of F features over B bins, in H groups of events, and K bets on them.

    Groups are hours of the week, or all events. Features have bins and bets of their own: what
    one has fewer of is filled up with what counts for nothing.

    Args:
        names: of the features.
        counts: of each, of the reference's rows: (groups, bins), one group or as many as others.
        clusters: of each and its bins, (bins,), 1 at least: events that count as one; see
            `inference.packages.autocorrelation`.
        delta: a chi-squared distance, or PSI, that does not matter.
        stuck: whether one may bet that a feature is stuck at a value.

    Attributes:
        sizes: bins that each feature has, (F,).
        share: (F, H, B).
        clusters: (F, B).
        rows: independent ones that it comes from, (F, H).
        log_ratio: of the bets, each bin's divided by its clusters' size, (F, K, B).
        log_weight: (F, K), -inf for none.
        losses: of the bets per independent event that is as the reference's, (F, K).
        costs: of the bets per event as evidence, (F, H, K).
    """

    def __init__(
        self,
        names: Sequence[str],
        counts: Sequence[NDArray[np.float64]],
        clusters: Sequence[NDArray[np.float64]],
        *,
        delta: float,
        stuck: bool = True,
    ) -> None:
        self.names = list(names)
        self.delta = delta
        self.sizes = np.array([each.shape[1] for each in counts])
        features, bins = len(counts), int(self.sizes.max(initial=0))
        groups = max((len(each) for each in counts), default=1)
        self.share = np.ones((features, groups, bins))
        self.clusters = np.ones((features, bins))
        self.rows = np.ones((features, groups))
        placed = []
        for place, (each, size) in enumerate(zip(counts, self.sizes, strict=True)):
            self.clusters[place, :size] = clusters[place]
            whole = shares(each.sum(axis=0))
            # An hour of few rows is not smoothed as all are: that would make of it another one.
            near = (each + SMOOTHED * whole) / (each.sum(axis=1, keepdims=True) + SMOOTHED)
            self.share[place, :, :size] = whole if len(each) == 1 else near
            self.rows[place] = each.sum(axis=1) / (whole @ clusters[place])
            known = self.rows[place][self.rows[place] > 0]
            typical = float(slack_of(np.median(known) if len(known) else 1, EVIDENCE_TOLERANCE))
            placed.append(place_bets(whole, typical, stuck=stuck))
        most = max((len(bets.weight) for bets in placed), default=0)
        self.log_ratio = np.zeros((features, most, bins))
        self.log_weight = np.full((features, most), -np.inf)
        self.losses = np.zeros((features, most))
        self.costs = np.zeros((features, groups, most))
        self._placed, self._told = placed, [len(each) for each in counts]
        self._beyond: dict[int, NDArray[np.float64]] = {}
        for place, (bets, size) in enumerate(zip(placed, self.sizes, strict=True)):
            count = len(bets.weight)
            self.log_ratio[place, :count, :size] = bets.log_ratio / clusters[place]
            self.log_weight[place, :count] = np.log(bets.weight)
            self.costs[place] = self._costs(place, EVIDENCE_TOLERANCE)
            share = self.share[place, :, :size].mean(axis=0)
            usual = self.log_ratio[place, :count, :size] @ share
            lost = self.costs[place, :, :count].mean(axis=0) - usual
            self.losses[place, :count] = lost * clusters[place].min()

    def expected(self, feature: int, groups: NDArray[np.int64]) -> NDArray[np.float64]:
        """The shares (bins,) of events that fall on groups as these counts (H,) say."""
        weights = groups / groups.sum()
        return np.asarray(weights @ self.share[feature, :, : self.sizes[feature]])

    def costs_beyond(self, feature: int) -> NDArray[np.float64]:
        """As `costs` of a feature, against shares that are `delta` away, (H, K).

        Most are never asked for, so they are computed when they are.
        """
        if feature not in self._beyond:
            self._beyond[feature] = self._costs(feature, self.delta)
        return self._beyond[feature]

    def _costs(self, feature: int, tolerance: float) -> NDArray[np.float64]:
        """What the bets on a feature cost where a chi-squared distance is none, (H, K)."""
        bets, size = self._placed[feature], self.sizes[feature]
        # What knows no hours costs the same in all: it is computed once.
        alike = slice(0, self._told[feature])
        share, slack = (
            self.share[feature, alike, :size],
            slack_of(self.rows[feature, alike], tolerance),
        )
        found = np.zeros(self.costs.shape[1:])
        found[:, : len(bets.weight)] = log_bound(bets, share, slack, self.clusters[feature, :size])
        return found
