"""The compacted topic of a task's state: making it, and reading a partition of it to its end."""

import logging
from threading import Event
from time import monotonic
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import consume_ready, is_end, note_errors
from streams.kafka.topics.topic_partitions import TopicError, partitions_of, wait_until_known
from streams.kafka.topics.weir_topics import STATE_CONFIG, make_topics

logger = logging.getLogger(__name__)

_BATCH = 10_000
_POLL_S = 0.2
_COMPLAIN_S = 10.0
_TIMEOUT_S = 15.0


def ensure_state_topic(
    admin: AdminClient, topic: str, source: str, replication_factor: int = -1
) -> list[str]:
    """Make the topic of the state that follows a source's partitions, if it is not there.

    Returns its name if it was made.

    Raises:
        TopicError: there is no source, the topic can't be made, or it has not as many partitions.
        AuthorizationError: we may not make it.
        KafkaException: the cluster failed.
    """
    counts = partitions_of(admin, [topic, source])
    if source not in counts:
        raise TopicError(f"there is no topic {source!r}: make it with `weir topics`")
    made = []
    if topic not in counts:
        made = make_topics(admin, {topic: STATE_CONFIG}, counts[source], replication_factor)
        counts |= wait_until_known(admin, [topic])
    if counts[topic] != counts[source]:
        raise TopicError(_mismatch(topic, counts[topic], source, counts[source]))
    return made


def _mismatch(topic: str, partitions: int, source: str, wanted: int) -> str:
    said = (
        f"topic {topic!r} has {partitions} partitions, and {source!r} has {wanted}: state learnt "
        "from a partition is kept in the one of the same number. "
    )
    if partitions < wanted:
        return said + (
            f"Give it as many, such as with kafka-topics.sh --alter --topic {topic} --partitions "
            f"{wanted}; keys that have moved to other partitions of {source!r} begin anew"
        )
    return said + f"It belongs to another topic: delete {topic!r}, or choose another name for it"


def read_state(
    kafka: KafkaSettings, topic: str, partition: int, cancelled: Event
) -> dict[bytes, bytes]:
    """The last committed value of each key of a partition; too little where `cancelled` is set.

    The offsets that the state goes with must have been read before: then all that was written with
    them stands before the end that this sees. It may still belong to a transaction whose markers
    are on their way, or to one that a killed worker left open. So this reads on until none is open
    before that end, and says what it waits for; the cluster ends each after its timeout.

    Raises:
        TopicError: there is no such partition.
        AuthorizationError: we may not read it.
        KafkaException: the cluster failed.
    """
    entries: dict[bytes, bytes] = {}
    place = TopicPartition(topic, partition, OFFSET_BEGINNING)
    consumer: Any = PassingConsumer(kafka.consumer_config(group_id="weir-state"))
    complain_at = monotonic() + _COMPLAIN_S
    try:
        partitions = len(consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions)
        if partition >= partitions:
            raise TopicError(
                f"topic {topic!r} has {partitions} partitions and its input has more, so there is "
                f"none for the state of partition {partition}. Start this process again: it names "
                "the command that adds partitions"
            )
        consumer.assign([place])
        while not cancelled.is_set():
            for message in consume_ready(consumer, _BATCH, _POLL_S):
                error = message.error()
                if error is None:
                    _apply(entries, message.key() or b"", message.value())
                elif is_end(message):
                    # Of what is committed. What the client knows to be the end counts all.
                    _, end = consumer.get_watermark_offsets(place, cached=True)
                    if 0 <= end <= message.offset():
                        return entries
                elif error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:  # see `read_ready`
                    note_errors([message])
            if monotonic() > complain_at:
                complain_at = monotonic() + _COMPLAIN_S
                logger.warning(
                    "still reading the state of %s[%d], %d keys so far; if a stopped worker left "
                    "a transaction open there, this waits until the cluster aborts it "
                    "(transaction timeout)",
                    topic,
                    partition,
                    len(entries),
                )
    finally:
        consumer.close()
    return entries


def _apply(entries: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
    if value is None:
        entries.pop(key, None)
    else:
        entries[key] = value
