"""False alarms of the performance monitor, and how many days it takes to find a loss.

A day has 2,000 events of a calibrated model, of which some 30 are fraud; all are mature. Null runs
of 365 days, in which nothing changes: how often a loss of performance is said, by labels or by
estimates, that probabilities are not true, or that labels come later. The figure is the days
between two false alarms, in the mean; a run that has one is over. Then what changes after 60 days,
or after 300, and how many days later it is said:

  new K    a share K of frauds is of a kind that the model does not know
  odds K   frauds have K times the odds that the model says
  late K   labels take K times as long
  dear K   amounts are K times as large
  pass K   a share K of what was an alert is approved
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from inference.policy.policy import APPROVE, DECLINE, REVIEW
from inference.shadow.comparison.terms import Terms
from inference.shadow.statistics.costs import Costs
from monitoring.performance.cohorts.cohort import DAY, answered_cohort
from monitoring.performance.cohorts.delay_bins import delay_bins
from monitoring.performance.cohorts.truth import ROW, Counts, Truth, count
from monitoring.performance.estimate import CalibrationWatch
from monitoring.performance.estimate_watch import EstimateWatch, Sums
from monitoring.performance.maturity import DelayWatch
from monitoring.performance.watch import PerformanceWatch, WatchTerms

EVENTS, DAYS, RUNS, CHANGED_RUNS = 2_000, 365, 60, 10
MATURITY = 14 * DAY
COSTS = Costs(500.0, 20.0, 5.0)
TERMS = Terms(MATURITY, True, "amount", COSTS, 0.0, (), 1)
WATCH = WatchTerms()
LONGEST = 90


def main() -> None:
    """Simulate, and report."""
    args = arguments(__doc__ or "")
    runs, changed = (3, 2) if args.quick else (RUNS, CHANGED_RUNS)
    quiet = [false_alarms(seed, 100 if args.quick else DAYS) for seed in range(runs)]
    watched = sum(days for days, _ in quiet)
    alarms: dict[str, int] = {}
    for _, said in quiet:
        for each in said:
            alarms[each] = alarms.get(each, 0) + 1
    worst = max(alarms.values(), default=0)
    between = watched / worst if worst else math.inf
    delays = {
        f"{name} after {before} days": found_after(change, before, changed)
        for name, change in CHANGES.items()
        for before in ((60,) if args.quick else (60, 300))
    }
    lines = [f"{watched:,} quiet days: {alarms or 'no false alarm'}", ""]
    for name, found in delays.items():
        said = ", ".join(f"{key} {median}" for key, median in found.items())
        lines.append(f"{name:<26} median days until said: {said}")
    report(
        args,
        name="performance-watch",
        figure=between,
        unit="days between false alarms of the worst watch, in the mean",
        target=WATCH.days_between,
        met=between >= WATCH.days_between,
        details={"quiet_days": watched, "false_alarms": alarms, "median_days": delays},
        text="\n".join(lines),
    )


Change = dict[str, float]
CHANGES: dict[str, Change] = {
    "new .3": {"new": 0.3},
    "new .6": {"new": 0.6},
    "odds 2": {"odds": 2.0},
    "odds 1/2": {"odds": 0.5},
    "late 2": {"late": 2.0},
    "dear 3": {"dear": 3.0},
    "pass .3": {"passed": 0.3},
    "pass .6": {"passed": 0.6},
}


class Watches:
    """All of them, on simulated days."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._loss = PerformanceWatch(COSTS.worst_difference)
        self._estimates = EstimateWatch()
        self._calibration = CalibrationWatch(WATCH.days_between)
        self._delays = DelayWatch()
        self._first: Counts = {}
        self._bound = math.log(WATCH.days_between)

    def day(
        self,
        day: int,
        odds: float = 1.0,
        new: float = 0.0,
        late: float = 1.0,
        dear: float = 1.0,
        passed: float = 0.0,
    ) -> set[str]:
        """Watch a further day; what is said after it."""
        rows, fraud = simulated(self._rng, odds, new)
        rows["amount"] *= dear
        rows["decision"][self._rng.random(EVENTS) < passed] = APPROVE
        answered = answered_cohort(rows, np.zeros(EVENTS, np.bool_), TERMS).answered
        self._estimates = self._estimates.step(day, Sums.of(answered), WATCH, COSTS)
        truth = Truth.of(rows, fraud.astype(np.int8), TERMS)
        self._loss = self._loss.step(day, truth, WATCH)
        self._calibration = self._calibration.step(day, truth.calibration)
        delays = self._rng.exponential(3 * late * DAY, int(fraud.sum())).astype(np.int64)
        reports = count(delay_bins(delays[delays < MATURITY]))
        if sum(self._first.values()) < WATCH.baseline_frauds:
            for place, more in reports.items():
                self._first[place] = self._first.get(place, 0) + more
            self._delays = DelayWatch.of(self._first, MATURITY)
        else:
            self._delays = self._delays.step(day, reports, self._bound)
        said: set[str] = {loss.figure for loss in self._loss.losses(WATCH)}
        said |= {f"estimated_{loss.figure}" for loss in self._estimates.losses(WATCH)}
        named: dict[str, Callable[[], Any]] = {
            "calibration": lambda: self._calibration.not_trusted,
            "delays": lambda: self._delays.said(self._bound),
        }
        return {*said, *(name for name, ask in named.items() if ask() is not None)}


def simulated(rng: np.random.Generator, odds: float, new: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a day, and which are fraud."""
    logits = rng.normal(-6.5, 2.0, EVENTS)
    fraud = rng.random(EVENTS) < 1 / (1 + np.exp(-logits - math.log(odds)))
    unknown = fraud & (rng.random(EVENTS) < new)
    logits[unknown] = rng.normal(-6.5, 2.0, int(unknown.sum()))
    seen = 1 / (1 + np.exp(-logits))
    rows = np.zeros(EVENTS, ROW)
    rows["probability"] = seen
    rows["amount"] = rng.lognormal(4.3, 1.2, EVENTS)
    rows["decision"] = np.select([seen >= 0.5, seen >= 0.05], [DECLINE, REVIEW], APPROVE)
    return rows, fraud


def false_alarms(seed: int, days: int) -> tuple[int, set[str]]:
    """Days until a run that nothing changes in says something, or is over; and what it said."""
    watches = Watches(seed)
    for day in range(days):
        if said := watches.day(day):
            return day + 1, said
    return days, set()


def found_after(change: Change, before: int, runs: int) -> dict[str, float | None]:
    """Median days from a change until each watch says it; None where most did not in 90 days."""
    found: dict[str, list[float]] = {}
    for seed in range(1_000, 1_000 + runs):
        watches, first = Watches(seed), dict[str, float]()
        for day in range(before):
            watches.day(day)
        for day in range(LONGEST):
            for name in watches.day(before + day, **change):
                first.setdefault(name, day + 1)
        for name, after in first.items():
            found.setdefault(name, []).append(after)
    missing = {name: [math.inf] * (runs - len(each)) for name, each in found.items()}
    medians = {name: float(np.median([*each, *missing[name]])) for name, each in found.items()}
    return {name: None if math.isinf(each) else each for name, each in sorted(medians.items())}


if __name__ == "__main__":
    main()
