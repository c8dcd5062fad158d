"""Precision, recall and cost before labels are there, from calibrated probabilities (CBPE).

An alert of probability p is right with a chance of p. So precision is the mean p of alerts, recall
the share of alerts in Σ p, and cost the sum of what each decision costs in expectation: Confidence-
based performance estimation, Białek, Kuberski, Perrakis and Bifet, arXiv 2401.08348. It holds as
long as probabilities are true, which labels tell later: where evidence that they are not
(`calibration`) reaches the bound, `CalibrationWatch` says that estimates are not to be trusted, and
why.
"""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

from inference.policy.policy import APPROVE
from inference.shadow.statistics.moments import STEP
from monitoring.performance.cohorts.calibration import BANDS, Band, log_evidence
from monitoring.performance.cohorts.cohort import Cohort, date_of
from monitoring.performance.detector import Detector

_LEVEL = 0.95
_BREADTH = NormalDist().inv_cdf((1 + _LEVEL) / 2)


class Estimated(NamedTuple):
    """A figure, and between which ends it lies in 95 of 100 cases, by chance alone."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What labels will say, if probabilities are true; None where nothing says anything.

    Attributes:
        cost: per event, in the currency of amounts.
        not_trusted: why it must not be trusted, in words; None where it may.
    """

    precision: Estimated | None
    recall: Estimated | None
    cost: Estimated | None
    not_trusted: str | None


def estimate(cohort: Cohort, not_trusted: str | None) -> Estimate:
    """The estimate for events that were answered; see `CalibrationWatch.not_trusted`.

    The ends are those of a sum of independent events, each fraud with its probability; by the delta
    method for the recall.
    """
    approved, alerts = cohort.answered[APPROVE], cohort.answered[APPROVE + 1 :]
    flagged = sum(each.probabilities.count for each in alerts)
    caught = sum(each.expected_frauds for each in alerts)
    spread = sum(each.fraud_variance for each in alerts)
    frauds = caught + approved.expected_frauds
    priced = sum(each.priced for each in cohort.answered)
    precision = recall = cost = None
    if flagged:
        precision = _between(caught / flagged, spread / flagged**2, most=1.0)
    if frauds:
        value = caught / frauds
        variance = ((1 - value) ** 2 * spread + value**2 * approved.fraud_variance) / frauds**2
        recall = _between(value, variance, most=1.0)
    if priced:
        total = sum(each.cost for each in cohort.answered) * STEP
        variance = sum(each.cost_variance for each in cohort.answered) * STEP
        cost = _between(total / priced, variance / priced**2)
    return Estimate(precision, recall, cost, not_trusted)


def _between(value: float, variance: float, most: float = math.inf) -> Estimated:
    half = _BREADTH * math.sqrt(variance)
    return Estimated(value, max(value - half, 0.0), min(value + half, most))


@dataclass(frozen=True)
class CalibrationWatch:
    """Watches whether a model's probabilities are true, by days whose truth is known.

    Attributes:
        days_between: days, in the mean, until it says so wrongly.
        detectors: of all bands together, and of each.
    """

    days_between: float = 365.0
    detectors: tuple[Detector, ...] = (Detector(),) * (len(BANDS) + 2)

    @property
    def bound(self) -> float:
        """From which evidence on probabilities are not true."""
        return math.log(self.days_between * len(self.detectors))

    def step(self, day: int, bands: tuple[Band, ...]) -> "CalibrationWatch":
        """The watch after a further day, in days since the epoch."""
        frauds = [float(band.frauds) for band in bands]
        expected = [band.expected_frauds for band in bands]
        found, said = [sum(frauds), *frauds], [sum(expected), *expected]
        log_e = log_evidence(bands)
        return replace(
            self,
            detectors=tuple(
                each.step(day, log_e[place], self.bound, found[place], said[place])
                for place, each in enumerate(self.detectors)
            ),
        )

    @property
    def not_trusted(self) -> str | None:
        """Why estimates must not be trusted, in words; None where they may."""
        place = max(range(len(self.detectors)), key=lambda each: self.detectors[each].evidence)
        worst = self.detectors[place]
        if worst.evidence < self.bound or worst.since is None:
            return None
        edges = (0.0, *BANDS, 1.0)
        where = f" of {edges[place - 1]:g} to {edges[place]:g}" if place else ""
        return (
            f"probabilities{where} are not true any more: {worst.found:,.0f} frauds where they say "
            f"{worst.expected:,.1f}, since {date_of(worst.since)}; evidence "
            f"{worst.evidence:.1f}, enough from {self.bound:.1f} on"
        )
