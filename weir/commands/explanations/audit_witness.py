"""Hearing what sinks have noted of the store in Kafka, before it is verified."""

from dataclasses import dataclass
from threading import Event

from confluent_kafka import KafkaException

from explain.store.database import Database
from explain.store.keys import Trusted
from explain.store.witness import Witness
from explain.workers.kafka_witness import witnesses_in
from explain.workers.witness_topic import WitnessTopic
from streams.kafka.authorization import AuthorizationError
from streams.kafka.client import KafkaSettings, KafkaUnavailableError
from streams.kafka.group_notes import group_notes
from streams.kafka.topics.topic_partitions import TopicError
from weir.config.settings import Settings
from weir.services.wiring import kafka_settings

_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Heard:
    """What Kafka says of the store.

    Attributes:
        said: the same for a person, or why nothing was heard.
    """

    witnesses: tuple[Witness, ...]
    said: str


def hear(settings: Settings, wanted: bool | None, database: Database, trusted: Trusted) -> Heard:
    """Ask Kafka, unless `wanted` is False; where it is None, no answer is an answer, too.

    Raises:
        KafkaUnavailableError: there is no answer, and one is wanted.
        StoreUnavailableError, StoreError: the database failed.
    """
    if wanted is False:
        return Heard((), "Kafka was not asked what it witnesses of the store")
    heard = Heard((), "")
    try:
        kafka = kafka_settings(settings)
        heard = _noted(kafka, settings)
        if settings.store.witness_topic:
            topic = WitnessTopic(kafka, settings.store.witness_topic, database, trusted)
            told = topic.hear(Event())
            heard = Heard((*heard.witnesses, *told.witnesses), f"{heard.said}; {told}")
    except (KafkaUnavailableError, KafkaException, AuthorizationError, TopicError) as error:
        why = str(error)
        if isinstance(error, KafkaException):  # it says of a missing right that time is up
            why = f"{error.args[0].str()}; what it takes: `weir acls --process auditor`"
        if wanted:
            raise KafkaUnavailableError(f"what Kafka witnesses of the store: {why}") from error
        if heard.said:
            missed = f"topic {settings.store.witness_topic!r} does not say which anchors it had"
            return Heard(heard.witnesses, f"{heard.said}; {missed}: {why}")
        return Heard(
            (),
            "Kafka does not say how far the store was, so only a copy of the anchors (--anchors) "
            f"shows whether it was rolled back with its anchors: {why}",
        )
    return heard


def _noted(kafka: KafkaSettings, settings: Settings) -> Heard:
    """What stands beside the offsets of the sinks' group."""
    group = settings.store.group
    notes = group_notes(kafka, group, settings.topics.explanations, _TIMEOUT_S)
    found = witnesses_in(notes.values())
    if not found:
        return Heard((), f"no sink of group {group!r} has noted in Kafka how far the store was")
    last = max(found, key=lambda each: each.anchor)
    return Heard(
        tuple(found),
        f"Kafka witnesses anchor {last.anchor:,}, record {last.records.sequence:,} and act "
        f"{last.acts.sequence:,}",
    )
