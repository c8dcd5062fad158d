"""Answers and labels, put through the join of a partition in memory."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.shadow.comparison.terms import Terms
from inference.shadow.event_hash import id_hashes
from inference.shadow.joining.known_labels import LABEL
from inference.shadow.statistics.costs import Costs
from monitoring.performance.cohorts.cohort import DAY, Cohort, Group
from monitoring.performance.cohorts.truth import ROW
from monitoring.performance.join import PerformanceJoin
from streams.loop.stateless.keyed_state import PartitionState

GROUPS = (Group("aaaaaaaaaaaa"), Group("bbbbbbbbbbbb"))
MATURITY = 7 * DAY
COSTS = Costs(500.0, 20.0, 5.0)
TERMS = Terms(MATURITY, True, "amount", COSTS, 0.0, (), 1_000)
START = 20_000 * DAY


class Answers:
    """Answered events 0 to n, and what became known of them."""

    def __init__(self, seed: int, count: int, *, per_day: int = 100) -> None:
        rng = np.random.default_rng(seed)
        self.rows = np.zeros(count, ROW)
        self.rows["hash"] = id_hashes(list(range(count)))
        self.rows["time"] = START + np.arange(count) * DAY // per_day
        self.rows["probability"] = rng.random(count)
        self.rows["amount"] = rng.lognormal(4, 1, count)
        self.rows["decision"] = rng.integers(0, 3, count)
        self.rows["group"] = rng.integers(0, 2, count)
        self.anomalous = rng.random(count) < 0.1
        self.frauds = rng.random(count) < self.rows["probability"]
        self.delays = rng.exponential(3 * DAY, count).astype(np.int64)

    def labels(self, first: int, end: int) -> NDArray[np.void]:
        """Reports of frauds that became known from one time to another, by time."""
        known = self.rows["time"] + self.delays
        own = np.flatnonzero(self.frauds & (known >= first) & (known < end))
        own = own[np.argsort(known[own], kind="stable")]
        rows = np.zeros(len(own), LABEL)
        rows["hash"], rows["time"], rows["label"] = self.rows["hash"][own], known[own], 1
        return rows


class JoinedAnswers:
    """A partition of the feature log, in memory."""

    def __init__(self, terms: Terms = TERMS, most: int = 100_000, keep: int = 90 * DAY) -> None:
        self.terms, self._most, self._keep = terms, most, keep
        self.state = PartitionState({})
        self.restart()

    def restart(self) -> None:
        """Go on with what a successor would read."""
        self.state = PartitionState(dict(self.state.items()))
        self.join = PerformanceJoin(self.state, self.terms, most=self._most, keep=self._keep)
        for group in GROUPS:
            self.join.code_of(group)

    def take(
        self,
        rows: NDArray[np.void],
        labels: NDArray[np.void],
        anomalous: NDArray[np.bool_] | None = None,
        complete: Sequence[int] = (),
    ) -> "JoinedAnswers":
        marks = np.zeros(len(rows), np.bool_) if anomalous is None else anomalous
        self.join.arrive(rows, marks)
        self.join.hear(labels, {0: 1}, dict(enumerate(complete)))
        self.join.mature()
        self.join.write()
        self.state.commit()
        return self

    def cohort(self) -> Cohort:
        """All cohorts together."""
        return sum(self.join.cohorts.values(), Cohort())
