"""Puts a worker of the shadow together."""

from threading import Event

from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from inference.backends.tensorrt.errors import BuildCancelledError
from inference.control.commands import ModelVersion
from inference.packages.registry import Registry
from inference.policy.policy import Policy
from inference.shadow.candidate import OpenCandidate
from inference.shadow.candidates import Candidates
from inference.shadow.metrics import ShadowMetrics
from inference.shadow.shadow_book import ShadowBook
from inference.shadow.worker import ShadowWorker
from streams.base.bounded_calls import StoppedError
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics.weir_topics import TopicSettings, ensure_beside
from weir.config.settings import Settings
from weir.services.scorer_model import fetch_package, package_trials
from weir.services.wiring import command_keys


def ensure_shadow_topics(admin: AdminClient, topics: TopicSettings) -> None:
    """Make the topics that a shadow reads and writes, where they are missing or too narrow.

    Shadow scores meet labels by the event's id, so both have as many partitions.

    Raises:
        TopicError: there is no feature log, or one can't be made.
        AuthorizationError: we may not make one, or give it partitions.
    """
    ensure_beside(admin, topics, "feature_log", ("labels", "dead_letters", "control", "positions"))
    ensure_beside(admin, topics, "labels", ("shadow_scores",))


def build_shadow(
    settings: Settings,
    kafka: KafkaSettings,
    registry: Registry,
    prometheus: CollectorRegistry,
    stop: Event,
) -> ShadowWorker:
    """Put a worker together.

    Raises:
        KeyFileError: a key of `signing` can't be read.
    """
    plan, topics = settings.plan(), settings.topics
    tried = package_trials(settings)

    def open_candidate(version: ModelVersion) -> OpenCandidate:
        try:
            package = fetch_package(settings, registry, version, tried, stop.is_set)
        except BuildCancelledError as error:
            raise StoppedError(f"stopped while model {version} was tried") from error
        return OpenCandidate(package, Policy(settings.policy, package.thresholds))

    return ShadowWorker(
        kafka,
        settings.shadow,
        topics=topics,
        names=list(plan.names),
        book=ShadowBook(command_keys(settings)),
        candidates=Candidates(open_candidate, plan.names, settings.shadow),
        metrics=ShadowMetrics(prometheus),
        tolerant=settings.snapshots.tolerant,
        widen=lambda: ensure_shadow_topics(connect(kafka), topics),
    )
