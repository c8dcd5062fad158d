"""`weir sink`: from the topic of explanations into the store."""

import logging

from prometheus_client import CollectorRegistry

from explain.store.appending import Appender
from explain.workers.sink import ExplanationSink, SinkMetrics
from streams.kafka.acls import Process, acls_of
from streams.kafka.permission_check import named_denials
from streams.kafka.topics import ensure_roles, partitions_of
from weir.cli.console import ConfigOption
from weir.config.settings import load_settings
from weir.services.metrics_server import MetricsPortOption, metrics_override, serving_metrics
from weir.services.stopping import stop_on_signals
from weir.services.wiring import admitted, usage

logger = logging.getLogger(__name__)


def sink(config: ConfigOption = None, metrics_port: MetricsPortOption = None) -> None:
    """Store explanations for good, until SIGTERM or Ctrl-C.

    Reads the explanations topic in a consumer group of its own, and appends each record once to the
    database of [store], in a hash chain under signed anchors. While the database is away it waits
    and says so. What is no explanation goes to the dead letters. `weir audit` looks at what it
    wrote.
    """
    stop = stop_on_signals()
    settings = load_settings(config, **metrics_override(metrics_port))
    topics, store = settings.topics, settings.store
    rights = acls_of(Process.SINK, usage(settings))
    kafka, admin = admitted(settings, lambda _: rights)
    # Whoever explains writes to the partition of the feature log; which may not be there yet, or
    # be hidden from us.
    counts = partitions_of(admin, [topics.feature_log])
    partitions = counts.get(topics.feature_log, topics.partitions)
    ensure_roles(admin, topics, ("explanations", "dead_letters"), partitions)
    signer = store.open_signer(settings.data_dir)
    registry = CollectorRegistry()
    with named_denials(kafka, rights), store.open_database(settings.data_dir) as database:
        appender = Appender(
            database, signer, anchor_every=store.anchor_every, anchor_after_ms=store.anchor_after
        )
        worker = ExplanationSink(
            kafka,
            topics.explanations,
            topics.dead_letters,
            store.group,
            store.max_batch,
            appender,
            SinkMetrics(registry),
        )
        with serving_metrics(settings.metrics, registry) as address:
            logger.info(
                "storing %s in %s, signing with key %s; metrics on %s",
                topics.explanations,
                database.place,
                signer.id[:16],
                address,
            )
            worker.run(stop)
    logger.info("stopped: all that was stored is under an anchor")
