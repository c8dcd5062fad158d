"""What members of a consumer group have noted beside the offsets that they committed."""

from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.kafka.client import KafkaSettings


def group_notes(kafka: KafkaSettings, group: str, topic: str, timeout_s: float) -> dict[int, str]:
    """By partition; empty texts where nothing was noted, and no partition without an offset.

    Not for groups that commit in transactions: while one is open, there is no answer.

    Raises:
        KafkaException: the cluster does not say in time, or we may not ask.
    """
    consumer = Consumer(kafka.consumer_config(group_id=group))
    try:
        found = _committed(consumer, topic, timeout_s)
    finally:
        consumer.close()
    return {each.partition: each.metadata or "" for each in found}


def note_again(kafka: KafkaSettings, group: str, topic: str, note: str, timeout_s: float) -> None:
    """Put another note beside each offset of a group that has no members.

    Raises:
        KafkaException: the cluster does not take it, as where the group has members.
    """
    consumer = Consumer(kafka.consumer_config(group_id=group))
    try:
        found = _committed(consumer, topic, timeout_s)
        noted = [TopicPartition(topic, each.partition, each.offset, note) for each in found]
        done = consumer.commit(offsets=noted, asynchronous=False) if noted else []
    finally:
        consumer.close()
    _raise_first(done or [])


def _committed(consumer: Any, topic: str, timeout_s: float) -> list[TopicPartition]:
    """What the group has committed, in partitions where it has."""
    known = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
    if known.error is not None:
        if known.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []
        raise KafkaException(known.error)
    places = [TopicPartition(topic, partition) for partition in known.partitions]
    found = consumer.committed(places, timeout=timeout_s) if places else []
    _raise_first(found)
    return [each for each in found if each.offset >= 0]


def _raise_first(answered: list[TopicPartition]) -> None:
    for each in answered:
        if each.error is not None:
            raise KafkaException(each.error)
