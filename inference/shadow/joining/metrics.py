"""What the second stage of the shadow says of itself."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge

from inference.shadow.joining.partition_join import PartitionJoin


class JoinMetrics:
    """Of the partitions of this worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waiting = Gauge(
            "weir_shadow_waiting_pairs",
            "Pairs of a candidate that are not mature yet (comparison.max_waiting)",
            ["candidate"],
            registry=registry,
        )
        self._mature = Gauge(
            "weir_shadow_mature_events",
            "Events that a candidate's evidence is made of",
            ["candidate"],
            registry=registry,
        )
        self._labels = Gauge(
            "weir_shadow_known_labels", "Labels that may still meet an event", registry=registry
        )

    def show(self, joins: Iterable[PartitionJoin]) -> None:
        """Show how many of what there are now."""
        labels = 0
        waiting, mature = Counter[str](), Counter[str]()
        for join in joins:
            labels += len(join.labels)
            for name, each in join.candidates.items():
                waiting[name] += len(each.waiting)
                mature[name] += 0 if each.tally is None else each.tally.mature
        self._labels.set(labels)
        for gauge, counts in ((self._waiting, waiting), (self._mature, mature)):
            gauge.clear()
            for name, count in counts.items():
                gauge.labels(name).set(count)
