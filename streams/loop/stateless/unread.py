"""What a group has not read yet, by the cluster's word."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from streams.kafka.client import watermarks
from streams.kafka.partition import PartitionId

_TIMEOUT_S = 5.0
_SHORT_S = 1.0
"""What an open transaction of another may move is not certain before it ends."""


def unread_from(consumer: Any, offsets: Mapping[PartitionId, int]) -> dict[PartitionId, int]:
    """Offsets of each partition from there on, or from its first one, to its end.

    Raises:
        KafkaException: the cluster does not say.
    """
    found = {}
    for place, offset in offsets.items():
        low, high = watermarks(consumer, TopicPartition(*place), _TIMEOUT_S)
        found[place] = max(0, high - max(low, offset))
    return found


def unread_elsewhere(
    consumer: Any, topics: Sequence[str], ours: Collection[PartitionId]
) -> dict[PartitionId, int]:
    """Offsets of each partition that is not ours that the group has not committed.

    Whoever it belongs to may have read more. Without a commit, all that it holds counts.

    Raises:
        KafkaException: the cluster does not say.
    """
    others = [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in consumer.list_topics(topic, _TIMEOUT_S).topics[topic].partitions
        if (topic, partition) not in ours
    ]
    committed = consumer.committed(others, _SHORT_S) if others else []
    for each in committed:
        if each.error is not None:
            raise KafkaException(each.error)
    return unread_from(consumer, {(each.topic, each.partition): each.offset for each in committed})
