"""How late labels come: what share of frauds is known after so many days, and whether that grows.

A fraud is seen only once it was reported, so of a young day only early reports are there: delays
are truncated on the right. The product-limit estimate in reversed time takes that into account:

    F(t) = Π over s > t of (1 - d_s / n_s)

d_s reports had the delay s, and n_s had one of s at most and could have had s, since their day is
old enough: Lagakos, Barraj and De Gruttola, Biometrika 75 (1988) 515-523. It is the share of what
is known at the greatest age; what comes later nobody can tell.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitoring.performance.cohorts.cohort import date_of
from monitoring.performance.cohorts.delay_bins import BINS, EDGES_MS, bins_within
from monitoring.performance.cohorts.truth import Counts
from monitoring.performance.detector import Detector

TOLERANCE = 1.25
"""So much longer delays may be, and a reference of some hundred reports may be off."""
_LONGER = (1.3, 1.8, 3.0)
"""By how much more is bet on."""
_FLOOR = 0.5
"""Added to each bin of a reference: what never happened may happen."""
_WIDE = 4
"""Bins that are taken together: a power of two of a second."""


@dataclass(frozen=True)
class MaturityCurve:
    """Shares of frauds that are known within a delay, by the upper ends of bins, (m,).

    Attributes:
        delays: ms, rising.
        shares: of what is known at the last one.
        reports: how many it is made of.
    """

    delays: NDArray[np.int64]
    shares: NDArray[np.float64]
    reports: int

    def at(self, delay: int) -> float:
        """The share within a delay, ms; ``NaN`` beyond the last one, or without reports."""
        if not self.reports or delay > self.delays[-1]:
            return math.nan
        return float(np.interp(delay, np.append(0, self.delays), np.append(0.0, self.shares)))


def maturity_curve(days: Iterable[tuple[int, Counts]], maturity: int) -> MaturityCurve:
    """The curve by what is known of some days.

    Args:
        days: of each day, for how long its last event has been there, ms; and reports of frauds by
            bin of their delay.
        maturity: the age at which events are forgotten, ms: later reports are not there.
    """
    observed = np.zeros(BINS)
    at_risk = np.zeros(BINS)
    most = 0
    for age, counts in days:
        bins = bins_within(min(age, maturity))
        if bins <= 0:
            continue
        own = np.zeros(BINS)
        own[list(counts)] = list(counts.values())
        observed[:bins] += own[:bins]
        at_risk[:bins] += np.cumsum(own)[:bins]
        most = max(most, bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.where(at_risk > 0, 1 - observed / at_risk, 1.0)[:most]
    shares = np.append(np.cumprod(steps[:0:-1])[::-1], 1.0) if most else np.empty(0)
    return MaturityCurve(EDGES_MS[:most], shares, int(observed.sum()))


@dataclass(frozen=True)
class DelayWatch:
    """Watches whether labels come later than those that the reference is made of.

    A day is a step once it is mature. Against "delays are 1.25 times those of the reference at
    most", a report's evidence is the likelihood ratio of delays 1.3, 1.8 and 3 times longer still.

    Attributes:
        reference: reports by bin, those of the first mature days.
        detector: `found` and `expected` are sums of delays, ms.
    """

    reference: tuple[int, ...] = ()
    detector: Detector = field(default_factory=Detector)

    @classmethod
    def of(cls, delays: Counts, maturity: int) -> "DelayWatch":
        """A watch by the delays of the first days."""
        return cls(tuple(delays.get(place, 0) for place in range(bins_within(maturity))))

    def step(self, day: int, delays: Counts, bound: float) -> "DelayWatch":
        """The watch after a further mature day.

        Args:
            bound: ln of how many days shall pass until a false alarm, in the mean.
        """
        bins = len(self.reference)
        counts = np.array([delays.get(place, 0) for place in range(bins)], np.float64)
        if not counts.sum() or not bins:
            return self
        shares = (np.array(self.reference) + _FLOOR) / (sum(self.reference) + _FLOOR * bins)
        limit, *longer = (_wide(_stretched(shares, TOLERANCE * more)) for more in (1.0, *_LONGER))
        log_e = np.log(np.stack(longer) / limit) @ _wide(counts)
        middle = np.append(EDGES_MS[0] / 2, (EDGES_MS[: bins - 1] + EDGES_MS[1:bins]) / 2)
        found, expected = float(counts @ middle), float(counts.sum() * (shares @ middle))
        step = self.detector.step(day, log_e, bound, found, expected)
        return DelayWatch(self.reference, step)

    def said(self, bound: float) -> str | None:
        """That labels come later, in words; None where they don't."""
        found = self.detector
        if found.evidence < bound or found.since is None:
            return None
        return (
            f"labels of frauds come {found.found / found.expected:.1f} times as late as at first, "
            f"of events since {date_of(found.since)}; evidence {found.evidence:.1f}, enough from "
            f"{bound:.1f} on"
        )


def _stretched(shares: NDArray[np.float64], by: float) -> NDArray[np.float64]:
    """Shares of bins if delays were longer, of those that the bins still hold."""
    ends = np.append(0, EDGES_MS[: len(shares)]).astype(np.float64)
    before = np.append(0.0, np.cumsum(shares))
    found = np.diff(np.interp(ends / by, ends, before))
    return np.asarray(found / found.sum())


def _wide(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.add.reduceat(bins, np.arange(0, len(bins), _WIDE)))
