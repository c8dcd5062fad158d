"""What all the cohorts of a store say: losses, whether estimates hold, and how late labels come."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from inference.shadow.comparison.terms import Terms
from monitoring.performance.cohorts.cohort import DAY, CohortKey, Group, terms_of
from monitoring.performance.cohorts.truth import Counts, merged
from monitoring.performance.estimate import CalibrationWatch
from monitoring.performance.maturity import DelayWatch, MaturityCurve, maturity_curve
from monitoring.performance.settings import PerformanceSettings
from monitoring.performance.store import KeptCohort
from monitoring.performance.watch import PerformanceLoss, PerformanceWatch, WatchTerms


@dataclass(frozen=True)
class Findings:
    """Of one model, and one segment.

    Attributes:
        losses: figures that are worse than at first: reasons to train anew.
        has_reference: whether there have been days enough to tell.
        not_trusted: why estimates must not be trusted, in words; None where they may.
        late_labels: that labels come later than at first, in words; None where they don't.
        curve: what share of frauds is known after which time.
    """

    losses: tuple[PerformanceLoss, ...]
    has_reference: bool
    not_trusted: str | None
    late_labels: str | None
    curve: MaturityCurve


def is_whole(day: int, kept: KeptCohort, maturity: int) -> bool:
    """Whether all events of a day's cohort are mature."""
    return kept.watermark >= (day + 1) * DAY + maturity


def find(
    cohorts: Mapping[CohortKey, KeptCohort], terms: Terms, settings: PerformanceSettings
) -> dict[Group, Findings]:
    """What these cohorts say of each model that they are of, by the days that are mature.

    Those that were judged by other terms are left out.
    """
    own = terms_of(terms)
    days: dict[Group, dict[int, KeptCohort]] = {}
    for key in sorted(cohorts):
        if key.terms == own:
            days.setdefault(Group(key.model, key.segment), {})[key.day] = cohorts[key]
    return {group: _of(found, terms, settings) for group, found in days.items()}


def _of(days: dict[int, KeptCohort], terms: Terms, settings: PerformanceSettings) -> Findings:
    said = WatchTerms.of(settings)
    between = said.days_between
    watch = PerformanceWatch(None if terms.costs is None else terms.costs.worst_difference)
    calibration, delays = CalibrationWatch(between), DelayWatch()
    first: Counts = {}
    for day, kept in days.items():
        truth = kept.cohort.truth
        if not is_whole(day, kept, terms.maturity) or not truth.events:
            continue
        watch = watch.step(day, truth, said)
        calibration = calibration.step(day, truth.calibration)
        if sum(first.values()) < settings.baseline_frauds:
            first = merged(first, kept.cohort.reports)
            delays = DelayWatch.of(first, terms.maturity)
        else:
            delays = delays.step(day, kept.cohort.reports, math.log(between))
    ages = ((kept.watermark - (day + 1) * DAY, kept.cohort.reports) for day, kept in days.items())
    return Findings(
        tuple(watch.losses(said)),
        watch.reference is not None,
        calibration.not_trusted,
        delays.said(math.log(between)),
        maturity_curve(ages, terms.maturity),
    )
