"""Puts a worker of the monitor together."""

import logging
from collections.abc import Callable
from threading import Event

from cachetools import LRUCache
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from inference.packages.package import PackageError
from inference.packages.registry import Registry
from monitoring.counting.memory import memories
from monitoring.counting.model_bins import ModelBins
from monitoring.workers.monitor_worker import MonitorWorker, Performance
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics.weir_topics import Role, TopicSettings, ensure_beside
from weir.config.settings import Settings
from weir.services.registry_waiting import once_there

logger = logging.getLogger(__name__)

_MODELS = 64
_ANOMALOUS = 0.99
"""Where the policy does not say from which anomaly on an event is unusual."""


def ensure_monitor_topics(admin: AdminClient, topics: TopicSettings) -> None:
    """Make the topics that a monitor reads and writes, where they are missing.

    Raises:
        TopicError: there is no feature log, or one can't be made.
        AuthorizationError: we may not make one.
    """
    roles: list[Role] = ["dead_letters", "labels", "positions", "performance_state"]
    roles += ["drift_counts", "drift_state", "drift"]
    ensure_beside(admin, topics, "feature_log", roles)


def build_monitor(
    settings: Settings,
    kafka: KafkaSettings,
    registry: Registry,
    prometheus: CollectorRegistry,
    stop: Event,
) -> MonitorWorker:
    """Put a worker together."""
    topics, unusual = settings.topics, settings.policy.anomaly_review

    def bins() -> Callable[[str], ModelBins | None]:
        return RegisteredBins(registry, stop)

    return MonitorWorker(
        kafka,
        settings.monitor,
        topics=topics,
        bins=bins,
        fields=[each.name for each in settings.features if each.kind == "field"],
        alerts=settings.alerts,
        performance=Performance(
            settings.performance,
            settings.terms(),
            anomaly=_ANOMALOUS if unusual is None else unusual,
            open_store=lambda: settings.performance.open_store(settings.data_dir),
        ),
        registry=prometheus,
        tolerant=settings.snapshots.tolerant,
        widen=lambda: ensure_monitor_topics(connect(kafka), topics),
    )


class RegisteredBins:
    """What is counted of each model, out of its package; waits while the registry is away.

    One model whose package is gone or damaged is not watched; the others are.
    """

    def __init__(self, registry: Registry, stop: Event) -> None:
        self._registry = registry
        self._stop = stop
        self._bins: LRUCache[str, ModelBins | None] = LRUCache(_MODELS)

    def __call__(self, model: str) -> ModelBins | None:
        """Return what is counted of a model, by the first digits of its package's id.

        Raises:
            InferenceError: the registry refuses us.
            StoppedError: we were told to stop while the registry is away.
        """
        if model not in self._bins:
            self._bins[model] = once_there(self._fetch_once, model, self._stop)
        return self._bins[model]

    def _fetch_once(self, model: str) -> ModelBins | None:
        found = self._registry.find(model)
        if found is None:
            logger.warning(
                "model %s is not in the registry any more: its events are not watched", model
            )
            return None
        try:
            package = self._registry.fetch(found)
        except PackageError as error:
            logger.error(
                "the package of model %s is damaged: %s; its events are not watched until the "
                "registry's copy is mended and the monitor started again",
                model,
                error,
            )
            return None
        features = package.features
        return ModelBins(
            features.names,
            package.drift_reference,
            package.background,
            memories(features.definitions),
        )
