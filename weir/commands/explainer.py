"""`weir explainer`: explains what was flagged."""

import logging

from prometheus_client import CollectorRegistry

from streams.kafka.acls import Process, acls_of
from streams.kafka.permission_check import named_denials
from streams.kafka.topics import ensure_beside
from weir.cli.console import ConfigOption
from weir.config.settings import load_settings
from weir.services.build_explainer import build_explainer
from weir.services.metrics_server import MetricsPortOption, metrics_override, serving_metrics
from weir.services.stopping import stop_on_signals
from weir.services.wiring import admitted, open_registry, usage

logger = logging.getLogger(__name__)


def explainer(config: ConfigOption = None, metrics_port: MetricsPortOption = None) -> None:
    """Explain flagged decisions, until SIGTERM or Ctrl-C.

    Reads the feature log in a consumer group of its own, and writes one record for each event that
    was reviewed or declined to the explanations topic, exactly once: what raised the risk, in
    words, how sure that is, and all that is needed to say it again years later. Start as many as
    you like: they share the work. `weir sink` keeps what it writes.
    """
    stop = stop_on_signals()
    settings = load_settings(config, **metrics_override(metrics_port))
    topics = settings.topics
    rights = acls_of(Process.EXPLAINER, usage(settings))
    kafka, admin = admitted(settings, lambda _: rights)
    ensure_beside(admin, topics, "feature_log", ("explanations", "dead_letters"))
    prometheus = CollectorRegistry()
    with named_denials(kafka, rights):
        process = build_explainer(settings, kafka, open_registry(settings), prometheus, stop)
        with serving_metrics(settings.metrics, prometheus) as address:
            logger.info(
                "explaining %s of %s; metrics on %s",
                " and ".join(settings.explain.decisions),
                topics.feature_log,
                address,
            )
            process.run(stop)
    logger.info("stopped: the last transaction is committed")
