"""What is known of one model's performance: its watches, and days that other partitions miss."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from inference.shadow.comparison.terms import Terms
from monitoring.episodes.episode import WorseFigure
from monitoring.performance.cohorts.cohort import DAY, Cohort, Group, date_of, terms_of
from monitoring.performance.cohorts.truth import Truth
from monitoring.performance.estimate import CalibrationWatch
from monitoring.performance.estimate_watch import EstimateWatch, Sums
from monitoring.performance.watch import PerformanceLoss, PerformanceWatch, WatchTerms


@dataclass(frozen=True)
class ModelLosses:
    """Of one model, and one segment; some kilobytes, as JSON.

    Attributes:
        terms: see `terms_of`.
        watch, calibration: by days that are mature; `estimates`: by days that are over.
        answered: the latest day that is over and of which it answered events; -1 for none.
        over, mature: days that were not looked at yet.
    """

    group: Group
    terms: str
    watch: PerformanceWatch
    calibration: CalibrationWatch
    estimates: EstimateWatch = field(default_factory=EstimateWatch)
    answered: int = -1
    over: dict[int, Sums] = field(default_factory=dict)
    mature: dict[int, Truth] = field(default_factory=dict)

    @classmethod
    def begin(cls, group: Group, terms: Terms, said: WatchTerms) -> "ModelLosses":
        """Before any day."""
        cap = None if terms.costs is None else terms.costs.worst_difference
        return cls(
            group, terms_of(terms), PerformanceWatch(cap), CalibrationWatch(said.days_between)
        )

    def further(self, day: int, cohort: Cohort, mature: bool, terms: Terms) -> "ModelLosses":
        """With a part of a day; nothing of a day that was looked at."""
        if mature:
            if day <= self.watch.last:
                return self
            truth = self.mature.get(day, Truth()) + cohort.truth
            return replace(self, mature=self.mature | {day: truth})
        if day <= self.answered or not cohort.events:
            return self
        sums = self.over.get(day, Sums()).plus(Sums.of(cohort.answered))
        return replace(self, over=self.over | {day: sums})

    def answer(self, day: int, terms: Terms, said: WatchTerms) -> "ModelLosses":
        """After looking at a day that is over, of `over`."""
        rest = dict(self.over)
        estimates = self.estimates.step(day, rest.pop(day), said, terms.costs)
        return replace(self, over=rest, estimates=estimates, answered=day)

    def leave_out(self, day: int) -> "ModelLosses":
        """After passing over a day whose data were broken: it says nothing of the model."""
        over = {each: sums for each, sums in self.over.items() if each != day}
        mature = {each: truth for each, truth in self.mature.items() if each != day}
        return replace(self, over=over, mature=mature, answered=max(self.answered, day))

    def ripen(self, day: int, said: WatchTerms) -> "ModelLosses":
        """After looking at a day that is mature, of `mature`."""
        rest = dict(self.mature)
        truth = rest.pop(day)
        return replace(
            self,
            mature=rest,
            watch=self.watch.step(day, truth, said),
            calibration=self.calibration.step(day, truth.calibration),
        )

    def worse(self, said: WatchTerms) -> list[WorseFigure]:
        """Figures that are worse than at first: by labels, and by estimates while these hold."""
        estimated = [] if self.calibration.not_trusted else self.estimates.losses(said)
        return [
            *_worded(self.group.segment, self.watch.losses(said), ""),
            *_worded(self.group.segment, estimated, "estimated_"),
        ]


def _worded(segment: str, losses: Iterable[PerformanceLoss], how: str) -> Iterable[WorseFigure]:
    for loss in losses:
        name = f"{how}{loss.figure}"
        where = f" of {segment}" if segment else ""
        words = (
            f"{name.replace('_', ' ')}{where}: {loss.found:.4g} in the mean since "
            f"{date_of(loss.since)}, where {loss.limit:.4g} would be no loss"
        )
        yield WorseFigure(name, loss.since * DAY, loss.evidence, loss.found, loss.limit, words)


MODEL_LOSSES = TypeAdapter(ModelLosses)
