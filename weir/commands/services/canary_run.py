"""`weir canary run`: keeps the canary."""

from functools import partial

from confluent_kafka.admin import AdminClient

from inference.canary.board import CanaryBoard
from inference.canary.follower import FeatureLogFollower
from inference.canary.keeper import Keeper
from inference.control.canary import CANARY
from inference.control.commands import CHAMPION_KEY
from streams.kafka.records.control_topic import write_control
from streams.kafka.rights.process import Process
from streams.kafka.topics.weir_topics import ensure_beside
from weir.cli.console import ConfigOption
from weir.commands.models.rooms import author_who_may
from weir.commands.services.canary_automatic import AutomaticCanary
from weir.config.settings import Settings
from weir.services.candidates.canary_worker import CanaryMetrics, CanaryWorker, Election
from weir.services.processes import process_named
from weir.services.service import MetricsPortOption, Service, Start, Work, run_service
from weir.services.wiring import command_keys, open_registry, rights_of

_WRITE_S = 10.0


def run(config: ConfigOption = None, metrics_port: MetricsPortOption = None) -> None:
    """Keep the canary, until SIGTERM or Ctrl-C: step it up while all is well, or roll it back.

    Reads what scorers report and how the arms' keys fare in the feature log. Steps, hold times and
    guardrails are those of [canary]. Several may run; one of them is at work. What it finds stands
    on the topic of comparisons. Who begins a canary, and who makes it champion, says
    canary.automatic: by default, a person.
    """
    service = Service(
        process=process_named("canary"),
        rights=rights_of(Process.CANARY),
        make_topics=_make_topics,
        build=_build,
    )
    run_service(service, config, metrics_port)


def _make_topics(admin: AdminClient, settings: Settings) -> None:
    ensure_beside(admin, settings.topics, "feature_log", ("control", "reports", "comparisons"))


def _build(begun: Start) -> Work:
    settings = begun.settings
    keys = command_keys(settings, signing=True)
    by = author_who_may(keys, None, CANARY)
    if settings.canary.automatic == "promotion":
        author_who_may(keys, None, CHAMPION_KEY)
    topics = settings.topics
    board = begun.resources.enter_context(CanaryBoard(begun.kafka, keys, topics.reports))
    worker = CanaryWorker(
        settings.canary,
        election=Election(begun.kafka, settings.canary.group, topics.control),
        automatic=AutomaticCanary(
            settings, begun.kafka, keys, open_registry(settings), board=board, by=by
        ),
        new_keeper=lambda tell: Keeper(
            settings.canary,
            board=board,
            follow=partial(FeatureLogFollower, begun.kafka, topics.feature_log),
            by=by,
            tell=tell,
        ),
        write=lambda key, value: write_control(
            begun.kafka, topics.comparisons, key, value, _WRITE_S
        ),
        metrics=CanaryMetrics(begun.metrics),
    )
    return Work(does="keeping the canary", run=worker.run, waits_for=worker.waits_for)
