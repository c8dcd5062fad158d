"""`weir explainer`: explains what was flagged."""

from confluent_kafka.admin import AdminClient

from streams.kafka.rights.process import Process
from weir.cli.console import ConfigOption
from weir.config.settings import Settings
from weir.services.build_explainer import build_explainer, ensure_explainer_topics
from weir.services.processes import process_named
from weir.services.service import MetricsPortOption, Service, Start, Work, run_service
from weir.services.tracing import opened_tracer
from weir.services.wiring import open_registry, rights_of


def explainer(config: ConfigOption = None, metrics_port: MetricsPortOption = None) -> None:
    """Explain flagged decisions, until SIGTERM or Ctrl-C.

    Reads the feature log in a consumer group of its own, and writes one record for each event that
    was reviewed or declined to the explanations topic, exactly once: what raised the risk, in
    words, how sure that is, and all that is needed to say it again years later. Start as many as
    you like: they share the work. `weir sink` keeps what it writes.
    """
    service = Service(
        process=process_named("explainer"),
        rights=rights_of(Process.EXPLAINER),
        make_topics=_make_topics,
        build=_build,
    )
    run_service(service, config, metrics_port)


def _make_topics(admin: AdminClient, settings: Settings) -> None:
    ensure_explainer_topics(admin, settings.topics)


def _build(start: Start) -> Work:
    settings = start.settings
    tracer = start.resources.enter_context(opened_tracer(settings.tracing, start.metrics))
    explainer = build_explainer(
        settings, start.kafka, open_registry(settings), start.metrics, start.stop, tracer
    )
    decisions = " and ".join(settings.explain.decisions)
    return Work(
        does=f"explaining {decisions} of {settings.topics.feature_log}",
        run=explainer.run,
        waits_for=explainer.waits_for,
    )
