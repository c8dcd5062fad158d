"""`weir archive`: keeps feature log, scores and labels for good."""

from confluent_kafka.admin import AdminClient

from streams.kafka.rights.process import Process
from weir.cli.console import ConfigOption
from weir.config.settings import Settings
from weir.services.build_archive import build_archive, ensure_archive_topics
from weir.services.processes import process_named
from weir.services.service import MetricsPortOption, Service, Start, Work, run_service
from weir.services.wiring import rights_of


def archive(config: ConfigOption = None, metrics_port: MetricsPortOption = None) -> None:
    """Keep what was scored and what it turned out to be, until SIGTERM or Ctrl-C.

    Reads feature log, scores and labels in a consumer group of its own, and writes each record once
    to Delta Lake tables of Parquet files in the folder or object store of [archive]. It merges
    small files, deletes what is older than archive.keep, and whom `weir erase` names. Start as many
    workers as you like. `weir sql` looks at what it wrote.
    """
    service = Service(
        process=process_named("archive"),
        rights=rights_of(Process.ARCHIVE),
        make_topics=_make_topics,
        build=_build,
        niceness=lambda settings: settings.archive.niceness,
    )
    run_service(service, config, metrics_port)


def _make_topics(admin: AdminClient, settings: Settings) -> None:
    ensure_archive_topics(admin, settings.topics)


def _build(start: Start) -> Work:
    settings = start.settings
    run, worker = build_archive(settings, start.kafka, start.metrics)
    return Work(
        does=f"archiving to {settings.archive.place(settings.data_dir)}",
        run=run,
        waits_for=worker.waits_for,
    )
