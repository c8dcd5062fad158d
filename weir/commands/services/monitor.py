"""`weir monitor`: watches the stream for drift."""

from threading import Event

from confluent_kafka.admin import AdminClient

from streams.base.beside import beside
from streams.kafka.rights.process import Process
from weir.cli.console import ConfigOption
from weir.config.settings import Settings
from weir.episodes.acts import say
from weir.episodes.api import EpisodeApi
from weir.episodes.book import EpisodeBook
from weir.services.build_monitor import build_monitor, ensure_monitor_topics
from weir.services.processes import process_named
from weir.services.service import MetricsPortOption, Service, Start, Work, run_service
from weir.services.wiring import open_registry, rights_of

_SAY_S = 10.0
"""So long an act may take over HTTP, where a connection lasts 15 s."""


def monitor(config: ConfigOption = None, metrics_port: MetricsPortOption = None) -> None:
    """Watch the stream for drift, until SIGTERM or Ctrl-C.

    Reads the feature log in a consumer group of its own, counts features and answers by minutes,
    and compares them with what the model's package has frozen. What moves by more than matters is
    said on the drift topic, once when it begins and once when it ends; `weir drift status` shows
    it. Scorers do not wait for it. Start as many workers as you like: they share the work.
    """
    service = Service(
        process=process_named("monitor"),
        rights=rights_of(Process.MONITOR),
        make_topics=_make_topics,
        build=_build,
        niceness=lambda settings: settings.monitor.niceness,
    )
    run_service(service, config, metrics_port)


def _make_topics(admin: AdminClient, settings: Settings) -> None:
    ensure_monitor_topics(admin, settings.topics)


def _build(start: Start) -> Work:
    settings = start.settings
    worker = build_monitor(
        settings, start.kafka, open_registry(settings), start.metrics, start.stop
    )
    book = EpisodeBook(start.kafka, settings.topics.drift)
    counts = settings.topics.drift_counts
    EpisodeApi(book, lambda act: say(start.kafka, counts, act, _SAY_S)).add_to(start.paths)

    def run(stop: Event) -> str:
        with beside(lambda: book.run(stop), stop, "episodes"):
            try:
                return worker.run(stop)
            finally:
                stop.set()

    return Work(
        does=f"watching {settings.topics.feature_log} for drift",
        run=run,
        waits_for=worker.waits_for,
    )
