"""Builds the running parts from the settings."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import time
from typing import Any

from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from inference.answerer import Answerer
from inference.engine import EngineError
from inference.metrics import ScorerMetrics
from inference.onnxruntime_engine import OnnxRuntimeEngine
from inference.package import ModelPackage
from inference.policy import Policy
from inference.registry import Registry
from inference.scorer import Scorer
from streams.acls import Acl, Process, Usage, acls_of
from streams.broker import LocalBroker
from streams.exactly_once import ExactlyOnceLoop
from streams.features import FeaturePlan
from streams.formats import event_decoder
from streams.intake import Intake
from streams.kafka import KafkaSettings, KafkaUnavailableError, connect
from streams.rights import check_rights
from weir.settings import Settings


def now_ms() -> int:
    """The wall clock, UTC milliseconds."""
    return round(time() * 1_000)


def kafka_settings(settings: Settings) -> KafkaSettings:
    """How to reach Kafka: as the settings say, or the local broker where they name no cluster.

    Raises:
        KafkaUnavailableError: no cluster is named and the local broker does not run.
    """
    if settings.kafka.bootstrap_servers:
        return settings.kafka
    status = LocalBroker(settings.broker).status()
    if not status.running or status.bootstrap_servers is None:
        raise KafkaUnavailableError(
            "kafka.bootstrap_servers is empty and the local broker does not run: start it with "
            "`weir broker start`, or name your cluster there"
        )
    return settings.kafka.at(status.bootstrap_servers, settings.broker.client)


def usage(settings: Settings) -> Usage:
    """Which names the processes' rights are about."""
    return Usage(
        settings.topics,
        settings.loop.group,
        reads_labels=settings.plan().reads_labels,
        snapshots=settings.snapshots.enabled,
    )


def admitted(
    settings: Settings, needed: Callable[[Usage], Iterable[Acl]]
) -> tuple[KafkaSettings, AdminClient]:
    """How to reach Kafka, and a client of it, once it answers and lets us do what is needed.

    Raises:
        KafkaUnavailableError: it does not answer, or does not let us in.
        DeniedError: rights are missing.
    """
    kafka = kafka_settings(settings)
    admin = connect(kafka)
    check_rights(admin, list(needed(usage(settings))), kafka.who)
    return kafka, admin


def open_registry(settings: Settings) -> Registry:
    """The registry of models."""
    return Registry(settings.registry, settings.data_dir)


@dataclass
class ScorerProcess:
    """The scorer's parts, ready to run."""

    loop: ExactlyOnceLoop
    engine: OnnxRuntimeEngine
    model: ModelPackage
    prometheus: CollectorRegistry
    metrics: ScorerMetrics


def build_scorer(settings: Settings, kafka: KafkaSettings, model: ModelPackage) -> ScorerProcess:
    """Put the scorer together around a model; its engine is warm.

    Raises:
        EngineError: the model reads a feature that is not declared, or is declared otherwise.
        PolicyError: the policy's bounds contradict each other.
        DeniedError: the cluster does not let us do what a scorer does.
    """
    check_rights(connect(kafka), acls_of(Process.SCORER, usage(settings)), kafka.who)
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
    scorer = Scorer(plan, settings.windows, answerer, metrics)
    scorer.warm_up()

    decoder = event_decoder(
        settings.event, settings.schema_registry, metrics.observe_schema_registry
    )

    def new_intake() -> Intake:
        return Intake(
            settings.event,
            settings.topics.events,
            settings.topics.labels if plan.reads_labels else None,
            settings.alignment,
            now_ms,
            decoder=decoder,
        )

    loop = ExactlyOnceLoop(
        kafka,
        settings.loop,
        new_intake,
        scorer,
        settings.snapshots,
        settings.topics.snapshots,
        metrics.observe_snapshot,
    )
    metrics.watch_lag(loop.lag)
    metrics.ready.set_function(lambda: float(loop.ready))
    return ScorerProcess(loop, engine, model, prometheus, metrics)


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
