"""Puts the retraining controller together."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from inference.control.signatures import CommandKeys
from inference.packages.registry import Registry
from monitoring.retraining.controller_app import ControllerApp
from monitoring.retraining.jobs.job import Runner
from monitoring.retraining.jobs.local import LocalRunner
from monitoring.retraining.jobs.outbox import OutboxRunner
from monitoring.retraining.kafka_login import kafka_login
from monitoring.retraining.readers import read_episode, read_verdict
from streams.base.child_process import our_module
from streams.kafka.client import KafkaSettings
from streams.kafka.topics.weir_topics import Role, TopicSettings, ensure_beside
from weir.config.settings import Settings
from weir.retraining.board import RetrainingBoard
from weir.retraining.book import RetrainingBook
from weir.retraining.hands import ControllerHands
from weir.retraining.material import ArchiveMaterial
from weir.retraining.metrics import RetrainingMetrics


def ensure_controller_topics(admin: AdminClient, topics: TopicSettings) -> None:
    """Make the topics that a controller reads and writes, where they are missing.

    Raises:
        TopicError: there is no feature log, or one can't be made.
        AuthorizationError: we may not make one.
    """
    roles: list[Role] = ["drift", "comparisons", "control", "retraining", "retraining_state"]
    ensure_beside(admin, topics, "feature_log", roles)


def build_controller(
    settings: Settings,
    kafka: KafkaSettings,
    keys: CommandKeys,
    registry: Registry,
    prometheus: CollectorRegistry,
    resources: ExitStack,
    *,
    by: str,
    config: Path | None,
) -> ControllerApp:
    """Put a controller together.

    Args:
        resources: closes what it holds.
        by: in whose name it names candidates.
        config: the settings file, for its jobs.

    Raises:
        ClientSettingsError: ``[kafka]`` says what its client can't do.
    """
    topics = settings.topics
    board, book = RetrainingBoard(kafka, keys), RetrainingBook(kafka, topics.retraining)
    resources.callback(board.close)
    resources.callback(book.close)
    hands = ControllerHands(
        settings.retraining,
        board=board,
        book=book,
        registry=registry,
        runner=_runner(settings, book, config),
        material=ArchiveMaterial(settings),
        metrics=RetrainingMetrics(prometheus),
        by=by,
    )
    return ControllerApp(
        kafka_login(kafka),
        settings.retraining,
        sources={topics.drift: read_episode, topics.comparisons: read_verdict},
        table_topic=topics.retraining_state,
        hands=hands,
        folder=settings.data_dir / "controller",
    )


def _runner(settings: Settings, book: RetrainingBook, config: Path | None) -> Runner:
    if settings.retraining.runner == "outbox":
        return OutboxRunner(book.write, book.orders)

    def command(key: str, spec: Path) -> Sequence[str]:
        named = [] if config is None else ["--config", str(config.absolute())]
        return our_module("weir", "retrain", str(spec.absolute()), "--no-progress", *named)

    return LocalRunner(settings.data_dir / "jobs", command)
