"""Puts the retraining controller together."""

from contextlib import ExitStack
from pathlib import Path

from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from inference.control.signatures import CommandKeys
from inference.packages.registry import Registry
from monitoring.retraining.controller_app import ControllerApp
from monitoring.retraining.kafka_login import kafka_login
from monitoring.retraining.readers import read_episode, read_verdict
from streams.kafka.client import KafkaSettings
from streams.kafka.topics.weir_topics import Role, TopicSettings, ensure_roles
from weir.config.settings import Settings
from weir.retraining.board import RetrainingBoard
from weir.retraining.book import RetrainingBook
from weir.retraining.hands import ControllerHands
from weir.retraining.material import ArchiveMaterial
from weir.retraining.metrics import RetrainingMetrics
from weir.retraining.runners import runner_of


def ensure_controller_topics(admin: AdminClient, topics: TopicSettings) -> None:
    """Make the topics that a controller reads and writes, where they are missing.

    Raises:
        TopicError: one can't be made.
        AuthorizationError: we may not make one.
    """
    # Each has one partition; the controller may not even see the others.
    roles: list[Role] = ["drift", "comparisons", "control", "retraining", "retraining_state"]
    ensure_roles(admin, topics, roles, 1)


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
        SettingsError, KubernetesLoginError: see `runner_of`.
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
        runner=runner_of(settings, book, config),
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
