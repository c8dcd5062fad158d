"""What counting cohorts says of itself."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Gauge

from monitoring.performance.join import PerformanceJoin


class PerformanceMetrics:
    """Of the partitions of this worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waiting = Gauge(
            "weir_performance_waiting_events",
            "Answered events that are not mature yet (performance.max_waiting)",
            registry=registry,
        )
        self._share = Gauge(
            "weir_performance_waiting_ratio",
            "The share of events that waits until it is mature; 1 unless too many would",
            unit="ratio",
            registry=registry,
        )
        self._labels = Gauge(
            "weir_performance_known_labels",
            "Labels of events that wait, and of events that may still come",
            registry=registry,
        )
        self._unwritten = Gauge(
            "weir_performance_unwritten_cohorts",
            "Parts of cohorts that the store does not have yet",
            registry=registry,
        )

    def show(self, joins: Collection[PerformanceJoin], unwritten: int) -> None:
        """Show how many of what there are now."""
        self._waiting.set(sum(len(each.waiting) for each in joins))
        self._share.set(0.5 ** max((each.waiting.halvings for each in joins), default=0))
        self._labels.set(sum(len(each.labels) + len(each.early) for each in joins))
        self._unwritten.set(unwritten)
