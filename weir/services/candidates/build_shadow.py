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
from inference.shadow.joining.worker import JoinWorker
from inference.shadow.metrics import ShadowMetrics
from inference.shadow.shadow_book import ShadowBook
from inference.shadow.worker import ShadowWorker
from streams.base.beside import beside
from streams.base.bounded_calls import StoppedError
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics.topic_partitions import partitions_of
from streams.kafka.topics.weir_topics import TopicSettings, ensure_beside
from weir.config.settings import Settings
from weir.services.scorer_model import fetch_package, package_trials
from weir.services.wiring import command_keys


def ensure_shadow_topics(admin: AdminClient, topics: TopicSettings) -> None:
    """Make the topics that a shadow reads and writes, where they are missing or too narrow.

    Evidence is kept in the partition of its shadow scores, so both have as many.

    Raises:
        TopicError: there is no feature log, or one can't be made.
        AuthorizationError: we may not make one, or give it partitions.
    """
    ensure_beside(admin, topics, "feature_log", ("labels", "dead_letters", "control", "positions"))
    ensure_beside(admin, topics, "feature_log", ("shadow_scores",))
    ensure_beside(admin, topics, "shadow_scores", ("shadow_evidence",))


def build_shadow(
    settings: Settings,
    kafka: KafkaSettings,
    registry: Registry,
    prometheus: CollectorRegistry,
    stop: Event,
) -> "ShadowStages":
    """Put a worker together, of both stages.

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

    metrics = ShadowMetrics(prometheus)
    scores = _Partitions(kafka, topics.shadow_scores)
    log = _Partitions(kafka, topics.feature_log)

    def widen() -> None:
        ensure_shadow_topics(connect(kafka), topics)
        scores.look()
        log.look()

    scoring = ShadowWorker(
        kafka,
        settings.shadow,
        topics=topics,
        names=list(plan.names),
        book=ShadowBook(command_keys(settings)),
        candidates=Candidates(open_candidate, plan.names, settings.shadow),
        metrics=metrics,
        tolerant=settings.snapshots.tolerant,
        partitions=lambda: scores.count,
        widen=widen,
    )
    joining = JoinWorker(
        kafka,
        settings.shadow,
        topics=topics,
        terms=settings.terms(),
        partitions=lambda: scores.count,
        sources=lambda: log.count,
        metrics=metrics,
        registry=prometheus,
        tolerant=settings.snapshots.tolerant,
        widen=widen,
    )
    metrics.lag = lambda: {**scoring.lag, **joining.lag}
    return ShadowStages(scoring, joining)


class _Partitions:
    """How many partitions a topic had when it was last looked."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self.look()

    def look(self) -> None:
        """Look once more."""
        self.count = partitions_of(connect(self._kafka), [self._topic])[self._topic]


class ShadowStages:
    """Both stages of the shadow in one process: each stops where the other fails."""

    def __init__(self, scoring: ShadowWorker, joining: JoinWorker) -> None:
        self._scoring = scoring
        self._joining = joining

    def waits_for(self) -> list[str]:
        """Why nothing is scored, or joined, now, in words; any thread may ask."""
        return [*self._scoring.waits_for(), *self._joining.waits_for()]

    def run(self, stop: Event) -> str:
        """Score and join what comes until `stop` is set; what is true then.

        Raises:
            Exception: what a stage raises.
        """
        with beside(lambda: self._joining.run(stop), stop, "scores meet labels"):
            try:
                return self._scoring.run(stop)
            finally:
                stop.set()
