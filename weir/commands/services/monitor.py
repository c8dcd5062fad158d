"""`weir monitor`: watches the stream for drift."""

from confluent_kafka.admin import AdminClient

from streams.kafka.rights.process import Process
from weir.cli.console import ConfigOption
from weir.config.settings import Settings
from weir.services.build_monitor import build_monitor, ensure_monitor_topics
from weir.services.processes import process_named
from weir.services.service import MetricsPortOption, Service, Start, Work, run_service
from weir.services.wiring import open_registry, rights_of


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
    return Work(
        does=f"watching {settings.topics.feature_log} for drift",
        run=worker.run,
        waits_for=worker.waits_for,
    )
