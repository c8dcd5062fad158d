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

from inference.shadow.statistics.guardrails import log_rate_factors
from monitoring.performance.cohorts.cohort import DAY, date_of
from monitoring.performance.cohorts.delay_bins import BINS, EDGES_MS, bins_within
from monitoring.performance.cohorts.figures import share
from monitoring.performance.cohorts.truth import Counts
from monitoring.performance.detector import Detector

_EARLY = 0.75
"""The share of reports that came within a delay at first; what comes after it is late."""
_ERRORS = 2.0
"""That share is a guess: it is taken to be so many standard errors worse."""


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

    A day is a step once it is mature: of its reports some are later than three quarters of those of
    the reference were. Evidence is the likelihood ratio of their rate, above what it would be if
    all were a bin (1.19 times) as late.

    Attributes:
        reference: reports by bin, those of the first mature days.
        detector: `found` and `expected` are late reports, and all.
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
        total = sum(delays.get(place, 0) for place in range(len(self.reference)))
        late = total - sum(delays.get(place, 0) for place in range(self._bins))
        at_first = share(sum(self.reference[self._bins - 1 :]), sum(self.reference))
        limit = at_first.value + _ERRORS * at_first.error
        if not total or not self._bins or limit >= 1:
            return self
        log_e = log_rate_factors([late], [total], limit)[0]
        return DelayWatch(self.reference, self.detector.step(day, log_e, bound, late, total))

    def said(self, bound: float) -> str | None:
        """That labels come later, in words; None where they don't."""
        found = self.detector
        if found.evidence < bound or found.since is None:
            return None
        at_first = sum(self.reference[self._bins :]) / sum(self.reference)
        return (
            f"labels come later: {found.found / found.expected:.0%} of frauds are reported after "
            f"more than {EDGES_MS[self._bins - 1] / DAY:.1f} d, where {at_first:.0%} were at first,"
            f" of events since {date_of(found.since)}; evidence {found.evidence:.1f}, "
            f"enough from {bound:.1f} on"
        )

    @property
    def _bins(self) -> int:
        """How many bins are early; 0 without a reference."""
        reports = np.cumsum(self.reference)
        if not len(reports) or not reports[-1]:
            return 0
        return int(np.searchsorted(reports, _EARLY * reports[-1])) + 1
