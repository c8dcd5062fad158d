"""Loss of performance: whether a model costs more, or catches less, than it did.

Each day whose truth is known is a step of three detectors, which watch for ever (Shin, Ramdas and
Rinaldo, arXiv 2203.03532):

* cost per event: bets on losses, Π (1 + λ (L - c)), with c the limit and λ up to .9 / sqrt(cap c)
  (Waudby-Smith and Ramdas, arXiv 2010.09686); losses stand for the lower end of their cell;
* recall: likelihood ratios of missed frauds, for rates above the limit;
* average precision: exp(λ Z - λ²/2) with Z its distance from the limit in standard errors, by the
  influence function. This one holds for many frauds only, so that days wait until there are 50.

The first two hold for any number of events. A false alarm comes after `days_between` days in the
mean, or later; figures of a simulation are in docs/performance.md.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.shadow.statistics.betting import log_factors
from inference.shadow.statistics.guardrails import log_rate_factors
from monitoring.performance.cohorts.cohort import DAY
from monitoring.performance.cohorts.figures import average_precision
from monitoring.performance.cohorts.loss_cells import losses_at_least
from monitoring.performance.cohorts.truth import Truth
from monitoring.performance.detector import Detector
from monitoring.performance.reference import Reference
from monitoring.performance.settings import PerformanceSettings

Figure = Literal["cost", "recall", "average_precision"]
FIGURES: tuple[Figure, ...] = ("cost", "recall", "average_precision")

_LEAST_FRAUDS = 50
_BETS = np.array([0.5, 1.0, 2.0, 3.0])


@dataclass(frozen=True)
class PerformanceLoss:
    """A figure that is worse than it was.

    Attributes:
        since: the day on which it began, as far as can be told, in days since the epoch.
        found: the figure since then; `limit` is what would have been no loss.
        evidence: from `enough` on it is a loss.
    """

    figure: Figure
    since: int
    found: float
    limit: float
    evidence: float
    enough: float


@dataclass(frozen=True)
class WatchTerms:
    """What a loss is.

    Attributes:
        tolerance: the share by which figures may be worse than at first.
        baseline_frauds, baseline_days: mature frauds, and days, that the reference is made of.
        days_between: days until a false alarm, in the mean.
    """

    tolerance: float = 0.1
    baseline_frauds: int = 400
    baseline_days: int = 7
    days_between: float = 365.0

    @classmethod
    def of(cls, settings: PerformanceSettings) -> "WatchTerms":
        """As the settings say it."""
        days = settings.false_alarms / DAY
        return cls(settings.tolerance, settings.baseline_frauds, settings.baseline_days, days)

    @property
    def bound(self) -> float:
        """From which evidence on it is a loss."""
        return math.log(self.days_between * len(FIGURES))


@dataclass(frozen=True)
class PerformanceWatch:
    """The watch over one model under one kind of terms; some kilobytes, as JSON.

    Attributes:
        cap: the most that an event can cost; None without costs.
        reference: None until the baseline is there.
        baseline, days: what the reference is made of.
        waiting: of days that wait until there are frauds enough for the average precision.
        detectors: by place in `FIGURES`.
        last: the latest day that was taken in.
    """

    cap: float | None
    reference: Reference | None = None
    baseline: Truth = field(default_factory=Truth)
    days: int = 0
    waiting: Truth = field(default_factory=Truth)
    detectors: tuple[Detector, Detector, Detector] = (Detector(), Detector(), Detector())
    last: int = -1

    def step(self, day: int, truth: Truth, terms: WatchTerms) -> "PerformanceWatch":
        """The watch after a further day, of which all is mature; nothing for an earlier one."""
        if day <= self.last or not truth.events:
            return self
        if self.reference is None:
            baseline, days = self.baseline + truth, self.days + 1
            enough = sum(baseline.frauds) >= terms.baseline_frauds and days >= terms.baseline_days
            if not enough:
                return replace(self, baseline=baseline, days=days, last=day)
            reference = Reference.of(baseline, terms.tolerance)
            return replace(self, reference=reference, baseline=Truth(), days=days, last=day)
        cost, recall, precision = self.detectors
        waiting = self.waiting + Truth(
            fraud_scores=truth.fraud_scores, legitimate_scores=truth.legitimate_scores
        )
        limits, bound = self.reference, terms.bound
        if limits.cost is not None and self.cap is not None and truth.cost.count:
            log_e = _of_cost(truth, limits.cost, self.cap)
            total = truth.cost.mean * truth.cost.count
            cost = cost.step(day, log_e, bound, total, truth.cost.count)
        frauds = sum(truth.frauds)
        if limits.recall is not None and frauds:
            log_e = log_rate_factors([frauds - truth.caught], [frauds], 1 - limits.recall)[0]
            recall = recall.step(day, log_e, bound, truth.caught, frauds)
        weight = sum(waiting.fraud_scores.values())
        enough = weight >= _LEAST_FRAUDS and bool(waiting.legitimate_scores)
        if limits.average_precision is not None and enough:
            found = average_precision(waiting)
            # Where all frauds score highest, nothing seems to scatter.
            z = (limits.average_precision - found.value) / max(found.error, 0.5 / weight)
            log_e = _BETS * z - _BETS**2 / 2
            precision = precision.step(day, log_e, bound, found.value * weight, weight)
            waiting = Truth()
        return replace(self, waiting=waiting, detectors=(cost, recall, precision), last=day)

    def losses(self, terms: WatchTerms) -> list[PerformanceLoss]:
        """What is worse now."""
        found = []
        for figure, detector in zip(FIGURES, self.detectors, strict=True):
            if self.reference is None or detector.since is None:
                continue
            limit = getattr(self.reference, figure)
            if detector.evidence >= terms.bound and limit is not None:
                mean = detector.found / detector.expected
                found.append(
                    PerformanceLoss(
                        figure, detector.since, mean, limit, detector.evidence, terms.bound
                    )
                )
        return found


def _of_cost(truth: Truth, limit: float, cap: float) -> NDArray[np.float64]:
    """Log e-values against "an event costs ``limit`` at most", one for each bet."""
    losses, counts = losses_at_least(truth.losses)
    limit = min(limit, cap)
    return np.asarray(counts @ log_factors(losses - limit, math.sqrt(cap * limit)))
