"""Puts the scorer together, in either topology."""

import json
from dataclasses import dataclass
from threading import Event
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from inference.answerer import Answerer
from inference.engine import EngineError
from inference.metrics import ScorerMetrics
from inference.onnxruntime_engine import OnnxRuntimeEngine
from inference.package import ModelPackage
from inference.policy import Policy
from inference.scorer import Scorer
from streams.decode import Decoder
from streams.exactly_once import ExactlyOnceLoop
from streams.features import FeaturePlan, FeatureState
from streams.formats import event_decoder
from streams.intake import Intake
from streams.kafka import KafkaSettings, connect
from streams.staged_loop import StagedLoop
from streams.stages.network import StageNetwork
from streams.topics import partitions_of
from weir.settings import Settings
from weir.wiring import now_ms

_RESTORING_MS = 60_000


class Loop(Protocol):
    """What runs until it is told to stop."""

    def run(self, stop: Event) -> None:
        """Run until `stop` is set."""

    @property
    def ready(self) -> bool:
        """Whether events are answered."""

    def lag(self) -> dict[tuple[str, int], int]:
        """Records of each partition that were not answered yet a moment ago."""


@dataclass
class ScorerProcess:
    """The scorer's parts, ready to run."""

    loop: Loop
    engine: OnnxRuntimeEngine
    model: ModelPackage
    prometheus: CollectorRegistry
    metrics: ScorerMetrics


def build_scorer(settings: Settings, kafka: KafkaSettings, model: ModelPackage) -> ScorerProcess:
    """Put the scorer of the settings' topology together around a model; its engine is warm.

    Raises:
        EngineError: the model reads a feature that is not declared, or is declared otherwise.
        PolicyError: the policy's bounds contradict each other.
    """
    plan = settings.plan()
    check_same_meaning(plan, model)
    engine = OnnxRuntimeEngine(model, plan.names)
    prometheus = CollectorRegistry()
    metrics = ScorerMetrics(prometheus)
    answerer = Answerer(
        settings.event,
        plan,
        engine,
        model.short_id,
        Policy(settings.policy, model.thresholds),
        settings.topics,
        metrics,
    )
    new_loop = _fused_loop if settings.loop.topology == "fused" else _staged_loop
    loop = new_loop(settings, kafka, answerer, metrics)
    metrics.watch_lag(loop.lag)
    metrics.ready.set_function(lambda: float(loop.ready))
    return ScorerProcess(loop, engine, model, prometheus, metrics)


def _fused_loop(
    settings: Settings, kafka: KafkaSettings, answerer: Answerer, metrics: ScorerMetrics
) -> Loop:
    plan = settings.plan()
    scorer = Scorer(plan, settings.windows, answerer, metrics)
    scorer.warm_up()
    decoder = _event_decoder(settings, metrics)

    def new_intake() -> Intake:
        return Intake(
            settings.event,
            settings.topics.events,
            settings.topics.labels if plan.reads_labels else None,
            settings.alignment,
            now_ms,
            decoder=decoder,
        )

    return ExactlyOnceLoop(
        kafka,
        settings.loop,
        new_intake,
        scorer,
        settings.snapshots,
        settings.topics.snapshots,
        metrics.observe_snapshot,
    )


def _staged_loop(
    settings: Settings, kafka: KafkaSettings, answerer: Answerer, metrics: ScorerMetrics
) -> Loop:
    plan, topics = settings.staged_plan(), settings.topics
    FeatureState(plan.whole, settings.windows).warm_up()
    answerer.warm_up()
    loop, alignment = settings.loop, settings.alignment
    # Nobody else has the partitions of a worker that died before this has passed.
    back_after = loop.session_timeout + loop.transaction_timeout + _RESTORING_MS
    network = StageNetwork(
        kafka,
        plan,
        topics,
        settings.stages,
        partitions_of(connect(kafka), [topics.events, topics.labels, *settings.stage_topics()]),
        settings.windows,
        alignment.model_copy(update={"max_hold": max(alignment.max_hold, back_after)}),
        _event_decoder(settings, metrics),
        answerer.answer,
        answerer.check,
        metrics.count_rejected,
        now_ms,
    )
    return StagedLoop(
        kafka,
        settings.loop,
        network.topics,
        network.new_task,
        metrics.transactions.labels("committed").inc,
        lambda reason: metrics.transactions.labels("aborted").inc(),
        metrics.observe_state,
    )


def _event_decoder(settings: Settings, metrics: ScorerMetrics) -> Decoder:
    return event_decoder(settings.event, settings.schema_registry, metrics.observe_schema_registry)


def check_same_meaning(plan: FeaturePlan, model: ModelPackage) -> None:
    """Refuse a model that was trained on features of the same name but another meaning.

    Raises:
        EngineError: names the features and what differs.
    """
    if plan.schema_hash == model.features.schema_hash:
        return
    declared = _by_name(plan.schema())
    trained = _by_name(model.features.definitions)
    different = [
        name
        for name in model.features.names
        if name in declared and declared[name] != trained.get(name)
    ]
    if different:
        raise EngineError(
            f"model {model.short_id} was trained when {', '.join(map(repr, different))} "
            "meant something else: restore these [[features]] in the settings, or train again "
            "with `weir train`"
        )


def _by_name(schema: dict[str, Any]) -> dict[str, Any]:
    fields = schema["fields"]
    return {
        feature["name"]: (
            _plain(feature),
            [fields.get(feature.get(role)) for role in ("field", "entity")],
            schema["version"],
        )
        for feature in schema["features"]
    }


def _plain(value: Any) -> str:
    """Text that is equal for a declaration and for what JSON made of it: NaN is null there."""
    text = json.dumps(value, sort_keys=True)
    return json.dumps(json.loads(text, parse_constant=lambda name: None))
