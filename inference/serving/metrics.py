"""Prometheus metrics of the scorer."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from inference.policy.policy import DECISIONS
from inference.serving.arm_metrics import ArmMetrics
from inference.serving.score_records import DEADLINE
from inference.serving.state_metrics import StateMetrics
from streams.base.counted import counter_by
from streams.events.rejection import Reason, Rejected
from streams.features.state import FeatureState
from streams.kafka.lag_metric import LagCollector
from streams.transactions.outcome import Committed

STAGES = (
    "wait",
    "consume",
    "decode",
    "merge",
    "route",
    "entity",
    "features",
    "inference",
    "encode",
    "commit_wait",
    "upkeep",
    "restore",
    "produce",
    "commit",
)
"""What time is spent on: together that of the loop, but for the last two, which go on beside it."""

_SECONDS = tuple(m * 10.0**e for e in range(-4, 2) for m in (1.0, 2.5, 5.0))
_SIZES = tuple(float(2**e) for e in range(15))


class Histograms(Collector):
    """Histograms of one metric, by one label; takes whole arrays at once.

    The client's own histogram takes one value per call, which costs more than scoring an event.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        *,
        label: str,
        values: Sequence[str],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._documentation, self._label = name, documentation, label
        self._bounds = np.array(bounds)
        self._bound_list = list(bounds)
        self._counts = {value: np.zeros(len(bounds) + 1, np.int64) for value in values}
        self._sums = dict.fromkeys(values, 0.0)
        registry.register(self)

    def observe(self, label: str, values: NDArray[np.float64] | float) -> None:
        """Count one value or many."""
        if isinstance(values, float):
            self._counts[label][bisect_left(self._bound_list, values)] += 1
            self._sums[label] += values
            return
        places = np.searchsorted(self._bounds, values, side="left")
        self._counts[label] += np.bincount(places, minlength=self._bounds.size + 1)
        self._sums[label] += float(values.sum())

    def collect(self) -> Iterable[Metric]:
        """What Prometheus asks for."""
        unit = "seconds" if self._name.endswith("_seconds") else ""
        family = HistogramMetricFamily(
            self._name, self._documentation, labels=[self._label], unit=unit
        )
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        for value, counts in self._counts.items():
            cumulative = counts.cumsum().tolist()
            family.add_metric(
                [value], list(zip(bounds, cumulative, strict=True)), self._sums[value]
            )
        yield family


class ScorerMetrics:
    """All that the scorer says of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("weir_events", "Events answered", registry=registry)
        self.labels = Counter("weir_labels", "Labels taken in", registry=registry)
        self.decisions = counter_by(
            "decision", DECISIONS, "weir_decisions", "Events by decision", registry
        )
        self.dead_letters = counter_by(
            "reason", Reason, "weir_dead_letters", "Records rejected, by reason", registry
        )
        self.transactions = counter_by(
            "outcome",
            ("committed", "aborted"),
            "weir_transactions",
            "Transactions by outcome",
            registry,
        )
        self.restored = Counter(
            "weir_restored_events", "Events read again to rebuild state", registry=registry
        )
        self.late = Counter(
            "weir_late_events", "Events beyond the allowed lateness", registry=registry
        )
        self.approximate = Counter(
            "weir_approximate_events",
            "Events with a window that reaches into tiles",
            registry=registry,
        )
        self.erasures = counter_by(
            "outcome",
            ("in_force", "expired", "refused"),
            "weir_erasures",
            "Erasures heard on the control topic, by what became of them",
            registry,
        )
        self.duplicates = Counter(
            "weir_duplicate_events",
            "Events left out: their id came before (event.deduplicate)",
            registry=registry,
        )
        self.forgotten_ids = Counter(
            "weir_forgotten_event_ids",
            "Event ids forgotten too soon: there were more than event.max_remembered_ids",
            registry=registry,
        )
        self.fallbacks = counter_by(
            "reason",
            (DEADLINE,),
            "weir_fallbacks",
            "Events that the policy's fallback answered, by reason",
            registry,
        )
        self.model_changes = counter_by(
            "outcome",
            ("serving", "refused", "postponed"),
            "weir_model_changes",
            "Commands to change model or policy, by outcome",
            registry,
        )
        self.snapshots = counter_by(
            "outcome",
            ("written", "failed"),
            "weir_snapshots",
            "Snapshots of the state by outcome",
            registry,
        )
        self.snapshot_bytes = Gauge(
            "weir_snapshot_bytes", "Size of the last snapshot", unit="bytes", registry=registry
        )
        self.snapshot_time = Gauge(
            "weir_snapshot_timestamp_seconds",
            "When the last snapshot was complete, UTC",
            unit="seconds",
            registry=registry,
        )
        self.snapshot = Histograms(
            "weir_snapshot_seconds",
            "How long a snapshot held up the stream, and took to write",
            label="part",
            values=("pause", "write"),
            bounds=_SECONDS,
            registry=registry,
        )
        self.state = StateMetrics(registry)
        self.arms = ArmMetrics(registry)
        self.model = Gauge(
            "weir_model_info",
            "The model and policy that answer",
            ["model", "policy", "feature_schema"],
            registry=registry,
        )
        self.engine = Gauge(
            "weir_engine_info",
            "The engine that answers, and how it goes about the largest batch",
            ["backend", "device", "precision", "route"],
            registry=registry,
        )
        self.stage = Histograms(
            "weir_stage_seconds",
            "Time of one batch by stage",
            label="stage",
            values=STAGES,
            bounds=_SECONDS,
            registry=registry,
        )
        self.latency = Histograms(
            "weir_latency_seconds",
            "From a record's Kafka timestamp to its visible answer",
            label="path",
            values=("end_to_end",),
            bounds=_SECONDS,
            registry=registry,
        )
        self.queue = Histograms(
            "weir_queue_seconds",
            "From a record's Kafka timestamp to the model's turn",
            label="kind",
            values=("events",),
            bounds=_SECONDS,
            registry=registry,
        )
        self.inference_rows = Histograms(
            "weir_inference_rows",
            "Rows in one call of the engine",
            label="kind",
            values=("rows",),
            bounds=_SIZES,
            registry=registry,
        )
        self.batch = Histograms(
            "weir_batch_records",
            "Records in one transaction",
            label="kind",
            values=("events", "labels"),
            bounds=_SIZES,
            registry=registry,
        )
        self._registry = registry
        self._schema_registry: Gauge | None = None
        self._visible: list[tuple[int, int]] = []

    def observe_schema_registry(self, available: bool) -> None:
        """Show whether the schema registry answered; without one there is no such metric."""
        if self._schema_registry is None:
            self._schema_registry = Gauge(
                "weir_schema_registry_up",
                "1 when the schema registry answered the last request; at 0, records may wait",
                registry=self._registry,
            )
        self._schema_registry.set(available)

    def count_records(self, events: int, labels: int) -> None:
        """Count what one batch has answered; a transaction may hold several."""
        self.events.inc(events)
        self.labels.inc(labels)
        self._visible.append((events, labels))

    def count_transaction(self, committed: Committed) -> None:
        """Count a transaction, after the batches that it made visible."""
        self.transactions.labels("committed").inc()
        self.stage.observe("produce", committed.produce_s)
        self.stage.observe("commit", committed.commit_s)
        visible, self._visible = self._visible, []
        if visible:
            for kind, counts in zip(("events", "labels"), zip(*visible, strict=True), strict=True):
                self.batch.observe(kind, float(sum(counts)))

    def count_rejected(self, rejected: Iterable[Rejected]) -> None:
        """Count records that went to the dead letters."""
        for each in rejected:
            self.dead_letters.labels(each.reason.value).inc()

    def count_routed(self, rejected: Sequence[Rejected], labels: int) -> None:
        """Count what a router of the staged topology has seen to."""
        self.count_rejected(rejected)
        self.labels.inc(labels)

    def observe_state(self, states: Iterable[FeatureState]) -> None:
        """Show what windows hold and how much memory they take, all of these states together."""
        self.state.observe(states)

    def observe_snapshot(self, outcome: str, pause: float, write: float, size: int) -> None:
        """Count a snapshot; see `streams.snapshots.taker.SnapshotTaker`."""
        self.snapshots.labels(outcome).inc()
        self.snapshot.observe("pause", pause)
        self.snapshot.observe("write", write)
        if outcome == "written":
            self.snapshot_bytes.set(size)
            self.snapshot_time.set_to_current_time()

    def watch_lag(self, lag: Callable[[], Mapping[tuple[str, int], int]]) -> None:
        """Show the lag per partition, asked for when Prometheus asks."""
        self._registry.register(LagCollector("Records not answered yet", lag))
