"""Metrics of the approve-through."""

from collections import Counter as Counted
from collections.abc import Iterable
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from streams.base.counted import counter_by

Outcome = Literal["let_through", "declined", "no_budget", "no_amount", "no_band"]
"""What becomes of a would-be decline. The last three have no chance to be let through."""


class ApproveThroughMetrics:
    """What became of would-be declines, and what that may cost."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = counter_by(
            "outcome",
            get_args(Outcome),
            "weir_approve_through_events",
            "Would-be declines, by what became of them",
            registry,
        )
        self._amount = Counter(
            "weir_approve_through_amount",
            "What was at stake in would-be declines that were approved",
            registry=registry,
        )
        self._left = Gauge(
            "weir_approve_through_budget_left",
            "What the partitions of this scorer may still let through, each on its day",
            registry=registry,
        )

    def count(self, decided: Iterable[tuple[Outcome, float]], left: float) -> None:
        """Count would-be declines, with the amount of each, and show what is left."""
        decided = list(decided)
        for outcome, count in Counted(outcome for outcome, _ in decided).items():
            self._events.labels(outcome).inc(count)
        self._amount.inc(sum(amount for outcome, amount in decided if outcome == "let_through"))
        self._left.set(left)
