"""`weir sink`: from the topic of explanations into the store."""

from functools import partial
from threading import Event
from typing import Annotated

import typer
from confluent_kafka.admin import AdminClient

from explain.store.appending import Appender
from explain.store.checking.anchor_check import refuse_retired
from explain.workers.sink import ExplanationSink, SinkMetrics
from explain.workers.witness_topic import WitnessTopic, ensure_witness_topic
from streams.base.clock import now_ms
from streams.kafka.rights.process import Process
from streams.kafka.topics.topic_partitions import partitions_of
from streams.kafka.topics.weir_topics import ensure_roles
from weir.cli.console import ConfigOption
from weir.cli.login import login_or
from weir.config.settings import Settings
from weir.services.processes import process_named
from weir.services.service import MetricsPortOption, Service, Start, Work, run_service
from weir.services.wiring import rights_of


def sink(
    config: ConfigOption = None,
    metrics_port: MetricsPortOption = None,
    accept_store: Annotated[
        bool,
        typer.Option(
            "--accept-store",
            help="Go on over a store that is behind what Kafka witnesses of it, as after a backup "
            "was restored. The store keeps your name.",
        ),
    ] = False,
) -> None:
    """Store explanations for good, until SIGTERM or Ctrl-C.

    Reads the explanations topic in a consumer group of its own, and appends each record once to the
    database of [store], in a hash chain under signed anchors. While the database is away it waits
    and says so. What is no explanation goes to the dead letters. `weir audit` looks at what it
    wrote. Kafka keeps a note of how far the store was, and a store that is behind it is refused.
    """
    accepted_by = login_or(None) if accept_store else ""
    service = Service(
        process=process_named("sink"),
        rights=rights_of(Process.SINK),
        make_topics=_make_topics,
        build=partial(_build, accepted_by),
    )
    run_service(service, config, metrics_port)


def _make_topics(admin: AdminClient, settings: Settings) -> None:
    topics = settings.topics
    # Whoever explains writes to the partition of the feature log; which may not be there yet, or
    # be hidden from us.
    counts = partitions_of(admin, [topics.feature_log])
    partitions = counts.get(topics.feature_log, topics.partitions)
    ensure_roles(admin, topics, ("explanations", "dead_letters"), partitions)
    if settings.store.witness_topic:
        ensure_witness_topic(admin, settings.store.witness_topic, topics.replication_factor)


def _build(accepted_by: str, start: Start) -> Work:
    topics, store, data_dir = start.settings.topics, start.settings.store, start.settings.data_dir
    signer = store.open_signer(data_dir)
    start.note("opening the database")
    database = start.resources.enter_context(store.open_database(data_dir))
    trusted = store.trusted(data_dir)
    with database.reading() as connection:
        refuse_retired(connection, trusted, signer, now_ms())
    anchors = None
    if store.witness_topic:
        anchors = WitnessTopic(start.kafka, store.witness_topic, database, trusted)
    appender = Appender(
        database, signer, anchor_every=store.anchor_every, anchor_after_ms=store.anchor_after
    )
    worker = ExplanationSink(
        start.kafka,
        topic=topics.explanations,
        dead_letters=topics.dead_letters,
        group=store.group,
        max_batch=store.max_batch,
        appender=appender,
        metrics=SinkMetrics(start.metrics),
        tolerant=start.settings.snapshots.tolerant,
        accepted_by=accepted_by,
        anchors=anchors,
    )

    def run(stop: Event) -> str:
        worker.run(stop)
        return "all that was stored is under an anchor"

    return Work(
        does=f"storing {topics.explanations} in {database.place}, signing with key "
        f"{signer.id[:16]}",
        run=run,
        waits_for=worker.waits_for,
    )
