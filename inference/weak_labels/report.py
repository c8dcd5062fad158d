"""What became of rules over time: rates as estimated, as labels said, and who turned bad."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.weak_labels.dawid_skene import RuleRates, fit_rates
from inference.weak_labels.pattern_counts import FRAUD, LEGITIMATE, PatternCounts
from inference.weak_labels.track_record import Rate, Turned, true_rate, turned_bad
from streams.events.label_rules import LabelRule

_DAY_MS = 86_400_000


@dataclass
class DailyCounts:
    """Pattern counts of each day, UTC: of mature events with their labels, and of young ones."""

    rules: Sequence[LabelRule]
    mature: dict[int, PatternCounts] = field(default_factory=dict)
    young: PatternCounts | None = None

    def add(
        self,
        mature: bool,
        times: NDArray[np.int64],
        votes: NDArray[np.int8],
        labels: NDArray[np.int8],
        weights: NDArray[np.float64],
    ) -> None:
        """Count events, either all mature or all young; what is known of young ones is not."""
        if not mature:
            counts = PatternCounts.of(votes, np.full(len(votes), -1, np.int8), weights)
            self.young = counts if self.young is None else self.young + counts
            return
        days = times // _DAY_MS
        for day in np.unique(days).tolist():
            here = days == day
            counts = PatternCounts.of(votes[here], labels[here], weights[here])
            former = self.mature.get(day)
            self.mature[day] = counts if former is None else former + counts

    def known(self, days: Iterable[int] | None = None) -> PatternCounts:
        """Mature events of some days, or of all."""
        found = PatternCounts.none(len(self.rules))
        for day in self.mature if days is None else days:
            found += self.mature[day]
        return found

    def every(self) -> PatternCounts:
        """All events."""
        known = self.known()
        return known if self.young is None else known + self.young


@dataclass(frozen=True)
class RuleRecord:
    """One rule: what was estimated from all events, and what labels said.

    Attributes:
        rule: its name.
        says: what it says.
        fires: share of all events for which it fires.
        estimated_true_positive, estimated_false_positive: from all events, young ones too.
        true_positive, false_positive: among mature events.
        right: share of the mature events for which it fires that are what it says.
    """

    rule: str
    says: str
    fires: float
    estimated_true_positive: float
    estimated_false_positive: float
    true_positive: Rate
    false_positive: Rate
    right: float


@dataclass(frozen=True)
class RulesReport:
    """All of it.

    Attributes:
        prior: share of frauds among the mature events.
        concentration: see `RuleRates`.
        known, frauds, unknown: how many mature events, frauds among them, and young events.
        recent_days: of the mature events that `turned` looks at.
    """

    prior: float
    concentration: float
    known: float
    frauds: float
    unknown: float
    recent_days: int
    rules: list[RuleRecord]
    turned: list[Turned]
    useless: list[str]


def report_on(daily: DailyCounts, recent_days: int) -> RulesReport:
    """Put the record of the rules together.

    Args:
        recent_days: how many of the last mature days are looked at beside those before.

    Raises:
        WeakLabelError: no fraud, or no legitimate event, is mature.
    """
    known, every = daily.known(), daily.every()
    fitted = fit_rates(every)
    records = [
        _record(daily.rules, place, known, every, fitted) for place in range(len(daily.rules))
    ]
    days = sorted(daily.mature)
    edge = (days[-1] if days else 0) - recent_days
    before = daily.known(day for day in days if day <= edge)
    recent = daily.known(day for day in days if day > edge)
    legitimate, frauds = known.known
    return RulesReport(
        prior=fitted.prior,
        concentration=fitted.concentration,
        known=float(legitimate + frauds),
        frauds=float(frauds),
        unknown=0.0 if daily.young is None else float(daily.young.counts.sum()),
        recent_days=recent_days,
        rules=records,
        turned=turned_bad(daily.rules, before, recent),
        useless=[each.rule for each in records if _is_useless(each)],
    )


def _record(
    rules: Sequence[LabelRule],
    place: int,
    known: PatternCounts,
    every: PatternCounts,
    fitted: RuleRates,
) -> RuleRecord:
    rule = rules[place]
    here = known.counts[known.patterns[:, place] == 1]
    fired = here[:, FRAUD if rule.says == "fraud" else LEGITIMATE].sum()
    weight = every.counts.sum(axis=1)
    return RuleRecord(
        rule=rule.name,
        says=rule.says,
        fires=float(weight @ (every.patterns[:, place] == 1) / weight.sum()),
        estimated_true_positive=float(fitted.true_positive[place]),
        estimated_false_positive=float(fitted.false_positive[place]),
        true_positive=true_rate(known, place, FRAUD),
        false_positive=true_rate(known, place, LEGITIMATE),
        right=float(fired / here[:, LEGITIMATE:].sum()) if len(here) else float("nan"),
    )


def _is_useless(record: RuleRecord) -> bool:
    """Whether, as far as labels tell, it fires as readily for what it does not speak of."""
    for_it, against = record.true_positive, record.false_positive
    if record.says == "legitimate":
        for_it, against = against, for_it
    return for_it.high < against.low
