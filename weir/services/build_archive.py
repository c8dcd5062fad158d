"""Puts a worker of the archive together."""

from collections.abc import Callable
from functools import partial
from threading import Event

import pyarrow as pa
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from inference.control.erasures import ErasureBook
from monitoring.archive.housekeeper import Housekeeper
from monitoring.archive.metrics import ArchiveMetrics
from monitoring.archive.rows import Kinds, event_rows, label_rows, score_rows
from monitoring.archive.table import EVENTS, LABELS, SCORES, open_tables
from monitoring.archive.worker import ArchiveWorker
from streams.base.beside import beside
from streams.base.clock import now_ms
from streams.events.contract import EventContract
from streams.events.json_decoder import Decoder
from streams.events.labels import label_contract
from streams.features.erasures import Erasures
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlReader
from streams.kafka.topics.weir_topics import TopicSettings, ensure_beside
from weir.config.settings import Settings
from weir.services.wiring import command_keys

_READ_S = 0.5


def ensure_archive_topics(admin: AdminClient, topics: TopicSettings) -> None:
    """Make the topics that an archive reads, where they are missing.

    Raises:
        TopicError: there is no feature log, or one can't be made.
        AuthorizationError: we may not make one.
    """
    ensure_beside(admin, topics, "feature_log", ["scores", "labels", "control", "dead_letters"])


def build_archive(
    settings: Settings, kafka: KafkaSettings, prometheus: CollectorRegistry
) -> tuple[Callable[[Event], str], ArchiveWorker]:
    """Put a worker together; what runs it, and it itself."""
    topics, archive, contract = settings.topics, settings.archive, settings.event
    metrics = ArchiveMetrics(prometheus)
    tables = open_tables(archive.place(settings.data_dir), archive.storage_options())
    kinds = kinds_of(contract)
    labels = partial(label_rows, kinds=kinds, decoder=Decoder(label_contract(contract)))
    worker = ArchiveWorker(
        kafka,
        archive,
        tables={
            topics.feature_log: (tables[EVENTS], partial(event_rows, kinds=kinds)),
            topics.scores: (tables[SCORES], partial(score_rows, kinds=kinds)),
            topics.labels: (tables[LABELS], labels),
        },
        dead_letters=topics.dead_letters,
        letters_for=(topics.feature_log, topics.scores),
        metrics=metrics,
    )
    erasures = Erasures()
    housekeeper = Housekeeper(
        tables,
        archive,
        erasures=erasures,
        key_field=contract.key,
        leads=lambda: worker.has((topics.feature_log, 0)),
        metrics=metrics,
    )
    book = ErasureBook(
        command_keys(settings),
        {name: field.type for name, field in contract.fields.items()},
        erasures,
        now_ms,
    )

    def follow(stop: Event) -> None:
        reader = ControlReader(kafka, topics.control)
        try:
            while not stop.is_set():
                for record in reader.read(_READ_S):
                    book.hear(record)
        finally:
            reader.close()

    def run(stop: Event) -> str:
        with (
            beside(lambda: follow(stop), stop, "erasures"),
            beside(lambda: housekeeper.run(stop), stop, "housekeeping"),
        ):
            try:
                return worker.run(stop)
            finally:
                stop.set()

    return run, worker


def kinds_of(contract: EventContract) -> Kinds:
    """Arrow types of ids and keys."""
    id_type, key_type = (
        pa.int64() if contract.fields[name].type == "int" else pa.string()
        for name in (contract.id, contract.key)
    )
    return Kinds(id_type, key_type)
