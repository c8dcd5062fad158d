"""Metrics of the feature windows: how much they hold, and what they had to forget."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from streams.features.state import FeatureState

_BY_ENTITY: dict[str, tuple[str, Callable[[FeatureState], Mapping[str, int]]]] = {
    "weir_entities": ("Entities remembered", lambda state: state.entities),
    "weir_forgotten_events": (
        "Events in tiles only: more than an entity's share",
        lambda state: state.dropped_events,
    ),
    "weir_evicted_entities": (
        "Entities forgotten: no window reached them any more",
        lambda state: state.evicted_entities,
    ),
    "weir_ousted_entities": (
        "Entities forgotten: there were more than windows.max_entities",
        lambda state: state.ousted_entities,
    ),
    "weir_waiting_labels": ("Labels whose event has not come", lambda state: state.waiting_labels),
    "weir_dropped_labels": (
        "Labels forgotten before their event came: more than windows.max_waiting_labels",
        lambda state: state.dropped_labels,
    ),
}
"""Name, help, and what of a state it shows, by entity."""


class StateMetrics:
    """What windows hold and how much memory they take."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges = {
            name: Gauge(name, what, ["entity"], registry=registry)
            for name, (what, _) in _BY_ENTITY.items()
        }
        self._bytes = Gauge(
            "weir_state_bytes", "Memory of the feature windows", unit="bytes", registry=registry
        )
        self._matched = Counter(
            "weir_labels_matched",
            "Labels that found their event in the windows of an entity",
            ["entity"],
            registry=registry,
        )

    def observe(self, states: Iterable[FeatureState]) -> None:
        """Show all of these states together."""
        size = 0
        totals: dict[str, dict[str, int]] = {name: {} for name in _BY_ENTITY}
        for state in states:
            size += state.nbytes
            for entity, count in state.newly_matched_labels().items():
                self._matched.labels(entity).inc(count)
            for name, (_, counts) in _BY_ENTITY.items():
                for entity, count in counts(state).items():
                    totals[name][entity] = totals[name].get(entity, 0) + count
        self._bytes.set(size)
        for name, total in totals.items():
            for entity, count in total.items():
                self._gauges[name].labels(entity).set(count)
