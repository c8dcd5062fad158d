"""Puts the explainer together."""

import logging
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from cachetools import LRUCache
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from explain.errors import ExplainError
from explain.workers.inline_explainer import BudgetedExplainer
from explain.workers.stream_explainer import ExplainerMetrics, StreamExplainer
from explain.writing.event_parts import event_parts
from explain.writing.key_ring import KeyRing
from explain.writing.record_writer import RecordWriter
from inference.backends.tensorrt.errors import BuildCancelledError
from inference.packages.package import ModelPackage
from inference.packages.registry import Registry
from streams.base.bounded_calls import StoppedError
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics.weir_topics import TopicSettings, ensure_beside
from weir.config.settings import Settings
from weir.reasons import open_catalogue
from weir.services.registry_waiting import once_there
from weir.services.scorer_model import package_trials

if TYPE_CHECKING:
    from streams.tracing.tracer import Tracer

logger = logging.getLogger(__name__)

_NOT_READY = "joining the group, finding where to read on, or a transaction is overdue"
_MODELS = 16
"""Kept ready, a few megabytes each: a feature log seldom alternates between more."""


def ensure_explainer_topics(admin: AdminClient, topics: TopicSettings) -> None:
    """Make the topics that an explainer writes to, where they are missing or too narrow.

    Raises:
        TopicError: there is no feature log, or one can't be made.
        AuthorizationError: we may not make one, or give it partitions.
    """
    ensure_beside(admin, topics, "feature_log", ("explanations", "dead_letters", "positions"))


class WriterMaker:
    """Makes what explains the answers of a package, by the settings.

    Raises:
        ExplainError: the catalogue or the key ring can't be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._catalogue = open_catalogue(settings.reasons)
        path = settings.explain.key_ring
        ring = None if path is None else KeyRing(path)
        self._event_of = event_parts(ring, settings.event.key)

    def __call__(self, package: ModelPackage, number: int) -> RecordWriter:
        """Return what explains a package's answers; `number` is its version in the registry.

        Raises:
            ExplainError: its answers can't be explained by these settings.
        """
        explain = self._settings.explain
        writer = RecordWriter(
            package,
            number,
            explain=explain,
            reasons=self._settings.reasons,
            catalogue=self._catalogue,
            event_of=self._event_of,
        )
        lime = explain.method == "lime"
        samples = explain.lime.num_samples if lime else explain.samples
        logger.info(
            "model %s (version %d) is explained by method %s, %d samples an event",
            package.short_id,
            number,
            explain.method,
            samples,
        )
        return writer


class RecordWriters:
    """What explains the answers of each model, by the first digits of its package's id.

    While the registry is away it waits for it, until `stop` is set.

    Attributes:
        awaited: the model that it waits for; None where it doesn't. Any thread may ask.
    """

    def __init__(self, settings: Settings, registry: Registry, stop: Event) -> None:
        self._make = WriterMaker(settings)
        self._registry = registry
        self._stop = stop
        self._tried = package_trials(settings)
        self._writers: LRUCache[str, RecordWriter] = LRUCache(_MODELS)
        self.awaited: str | None = None

    def __call__(self, model: str) -> RecordWriter:
        """Return what explains a model's answers.

        Raises:
            ExplainError: there is no such model any more, or its answers can't be explained.
            InferenceError: its package is gone or damaged, or was refused when it was tried.
            StoppedError: we were told to stop while the registry is away, or the package is tried.
        """
        writer = self._writers.get(model)
        if writer is None:
            writer = self._writers[model] = self._make(*self._fetch(model))
        return writer

    def _fetch(self, model: str) -> tuple[ModelPackage, int]:
        self.awaited = model
        try:
            return once_there(self._fetch_once, model, self._stop)
        finally:
            self.awaited = None

    def _fetch_once(self, model: str) -> tuple[ModelPackage, int]:
        found = self._registry.find(model)
        if found is None:
            raise ExplainError(f"model {model} is not in the registry: was it deleted?")
        package = self._registry.fetch(found)
        try:
            self._tried(package, self._stop.is_set)
        except BuildCancelledError as error:
            raise StoppedError(f"stopped while model {model} was tried") from error
        return package, found.version


@dataclass(frozen=True)
class ExplainerProcess:
    """The explainer's parts, ready to run."""

    explainer: StreamExplainer
    writers: RecordWriters

    def waits_for(self) -> list[str]:
        """Why nothing is explained now, in words; nothing where it is. Any thread may ask."""
        model = self.writers.awaited
        fetching = [] if model is None else [f"fetching model {model} from the registry"]
        return fetching if self.explainer.ready else [*fetching, _NOT_READY]

    def run(self, stop: Event) -> str:
        """Explain what comes until `stop` is set; what is true then.

        Raises:
            StoppedError: what was begun did not come to its end; nothing of it is committed.
            Exception: see `StreamExplainer.run`.
        """
        self.explainer.run(stop)
        return "the last transaction is committed"


def build_explainer(
    settings: Settings,
    kafka: KafkaSettings,
    registry: Registry,
    prometheus: CollectorRegistry,
    stop: Event,
    tracer: "Tracer | None" = None,
) -> ExplainerProcess:
    """Put an explainer together.

    Args:
        tracer: see `StreamExplainer`.

    Raises:
        ExplainError: the catalogue or the key ring can't be used.
    """
    topics = settings.topics
    writers = RecordWriters(settings, registry, stop)
    explainer = StreamExplainer(
        kafka,
        settings=settings.explain,
        feature_log=topics.feature_log,
        explanations=topics.explanations,
        dead_letters=topics.dead_letters,
        worker=settings.explain.worker_name,
        writer_of=writers,
        metrics=ExplainerMetrics(prometheus),
        position_log=topics.positions,
        tolerant=settings.snapshots.tolerant,
        widen=lambda: ensure_explainer_topics(connect(kafka), topics),
        tracer=tracer,
    )
    return ExplainerProcess(explainer, writers)


def inline_explainer(settings: Settings, prometheus: CollectorRegistry) -> BudgetedExplainer | None:
    """Return what explains inside a scorer; None where the settings do not want that.

    Raises:
        ExplainError: the catalogue or the key ring can't be used.
    """
    if settings.explain.mode != "inline":
        return None
    return BudgetedExplainer(
        settings.explain,
        topic=settings.topics.explanations,
        events_topic=settings.topics.events,
        names=settings.plan().names,
        writer_of=WriterMaker(settings),
        registry=prometheus,
    )
