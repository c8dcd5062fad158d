"""What the monitor says of drift."""

from collections import Counter
from collections.abc import Iterable
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as CounterMetric

from monitoring.episodes.episode import WHOLE_STREAM, Episode, Kind, Retraining, Severity
from monitoring.episodes.retraining import retraining_verdict

_EACH = [(kind, severity) for kind in get_args(Kind) for severity in get_args(Severity)]


class DriftMetrics:
    """Of the worker that sees all partitions; others have none of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._alarms = CounterMetric(
            "weir_drift_alarms",
            "Episodes of drift that began",
            ["kind", "severity"],
            registry=registry,
        )
        for kind, severity in _EACH:
            self._alarms.labels(kind, severity)  # so that the first one is an increase
        self._open = Gauge(
            "weir_drift_episodes_open",
            "Episodes of drift that go on",
            ["kind", "severity"],
            registry=registry,
        )
        self._retraining = Gauge(
            "weir_drift_retraining",
            "Whether open episodes ask for retraining, or block it; 0 or 1",
            ["verdict"],
            registry=registry,
        )
        for verdict in get_args(Retraining):
            self._retraining.labels(verdict).set(0)
        self._psi = Gauge(
            "weir_drift_psi_ratio",
            "Population stability index of features that are away, when that was found",
            ["model", "feature"],
            unit="ratio",
            registry=registry,
        )
        self._closed = Gauge(
            "weir_monitor_watermark_seconds",
            "Event time up to which drift was looked for, in Unix time",
            unit="seconds",
            registry=registry,
        )

    def show(
        self, began: Iterable[Episode], ongoing: Iterable[Episode], closed: int | None
    ) -> None:
        """Count what began, and show what goes on, and how far the stream is (ms)."""
        for each in began:
            self._alarms.labels(each.kind, each.severity).inc()
        ongoing = list(ongoing)
        verdict = retraining_verdict(ongoing)
        self._retraining.labels("asked").set(bool(verdict.asked_by))
        self._retraining.labels("blocked").set(bool(verdict.blocked_by))
        counts: Counter[tuple[str, str]] = Counter(dict.fromkeys(_EACH, 0))
        self._open.clear()
        self._psi.clear()
        for each in ongoing:
            counts[each.kind, each.severity] += 1
            for feature in each.features:
                if feature.back is None and each.model != WHOLE_STREAM:
                    self._psi.labels(each.model, feature.name).set(feature.psi)
        for labels, count in counts.items():
            self._open.labels(*labels).set(count)
        if closed is not None:
            self._closed.set(closed / 1_000)
