"""All metrics of all processes, from the collectors that the processes register."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from explain.lime.settings import ExplainSettings
from explain.workers.inline_explainer import BudgetedExplainer
from explain.workers.sink import SinkMetrics
from explain.workers.stream_explainer import ExplainerMetrics
from inference.approve_through.metrics import ApproveThroughMetrics
from inference.serving.metrics import ScorerMetrics
from inference.shadow.joining.metrics import JoinMetrics
from inference.shadow.metrics import ShadowMetrics
from monitoring.alerts.settings import AlertSettings
from monitoring.alerts.webhook import Webhook
from monitoring.archive.metrics import ArchiveMetrics
from monitoring.workers.monitor_worker import MonitorMetrics
from weir.commands.explanations.fidelity import fidelity_gauges
from weir.commands.services.judge import JudgeMetrics
from weir.retraining.metrics import RetrainingMetrics
from weir.services.candidates.canary_worker import CanaryMetrics
from weir.services.process_metrics import ProcessMetrics
from weir.services.processes import PROCESSES
from weir.services.tracing import spans_counter

ALL = "all"
FIDELITY = "`weir explanation fidelity --textfile`"


@dataclass(frozen=True)
class Metric:
    """What a page says of a metric.

    Attributes:
        name: as Prometheus stores it: that of a counter with ``_total``.
        type: counter, gauge or histogram.
        unit: ``seconds``, ``bytes`` or ``ratio``; empty for counts.
        processes: whose it is; `ALL` for what every process shows.
    """

    name: str
    type: str
    labels: tuple[str, ...]
    unit: str
    processes: tuple[str, ...]
    meaning: str


class _Registry(CollectorRegistry):
    """Knows its collectors."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        super().register(collector)
        self.collectors.append(collector)


def _lag() -> dict[tuple[str, int], int]:
    return {("weir.events", 0): 0}


def _score(registry: CollectorRegistry) -> None:
    metrics = ScorerMetrics(registry)
    metrics.observe_schema_registry(True)
    metrics.watch_lag(_lag)
    ApproveThroughMetrics(registry)
    spans_counter(registry)

    def nobody(*_: object) -> None:
        raise AssertionError("nothing is explained here")

    BudgetedExplainer(
        ExplainSettings(), topic="", events_topic="", names=[], writer_of=nobody, registry=registry
    )


def _explainer(registry: CollectorRegistry) -> None:
    ExplainerMetrics(registry).lag = _lag
    spans_counter(registry)


def _sink(registry: CollectorRegistry) -> None:
    SinkMetrics(registry).lag = _lag()


def _monitor(registry: CollectorRegistry) -> None:
    MonitorMetrics(registry).lag = _lag
    Webhook(AlertSettings(), registry)


def _archive(registry: CollectorRegistry) -> None:
    ArchiveMetrics(registry).lag = _lag()


def _shadow(registry: CollectorRegistry) -> None:
    ShadowMetrics(registry).lag = _lag
    JoinMetrics(registry)


_OWN: dict[str, Callable[[CollectorRegistry], object]] = {
    "score": _score,
    "explainer": _explainer,
    "sink": _sink,
    "shadow": _shadow,
    "canary": CanaryMetrics,
    "judge": JudgeMetrics,
    "monitor": _monitor,
    "archive": _archive,
    "controller": RetrainingMetrics,
}
"""By process, what registers its metrics."""


def catalogue() -> list[Metric]:
    """Every metric of every process, by name."""
    found: dict[str, dict[str, Metric]] = {}
    makers: dict[str, Sequence[Callable[[CollectorRegistry], object]]] = {
        ALL: [lambda registry: ProcessMetrics(registry, lambda: True)],
        **{f"`weir {each.name}`": [_OWN[each.name]] for each in PROCESSES},
        FIDELITY: [fidelity_gauges],
    }
    for process, makes in makers.items():
        registry = _Registry()
        for make in makes:
            make(registry)
        for metric in _metrics(registry.collectors, process):
            found.setdefault(metric.name, {})[process] = metric
    return [_one(each) for _, each in sorted(found.items())]


def _metrics(collectors: Sequence[Collector], process: str) -> Iterator[Metric]:
    for collector in collectors:
        for family in collector.collect():
            if not family.name.startswith("weir_"):
                continue  # those of Python and of the process itself are the client library's
            labels = getattr(collector, "_labelnames", None)
            if labels is None:
                seen = {label for sample in family.samples for label in sample.labels}
                labels = tuple(sorted(seen - {"le"}))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield Metric(
                name, family.type, tuple(labels), family.unit, (process,), family.documentation
            )


def _one(by_process: dict[str, Metric]) -> Metric:
    """The same metric of several processes; what each means by it."""
    first, *others = by_process.values()
    for other in others:
        alike = (other.type, other.labels, other.unit) == (first.type, first.labels, first.unit)
        assert alike, f"{first.name} differs between {first.processes[0]} and {other.processes[0]}"
    meanings = dict.fromkeys(each.meaning for each in by_process.values())
    return Metric(
        first.name, first.type, first.labels, first.unit, tuple(by_process), "; ".join(meanings)
    )
