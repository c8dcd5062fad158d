"""Damage to the snapshot topic: garbage under its own keys, or its records gone."""

from collections import deque

import numpy as np
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.chaos.transcript import read_topic

_ANSWER_S = 10.0
_COPIES = 30
_POLICY = "cleanup.policy"


def write_garbage(bootstrap_servers: str, topic: str, rng: np.random.Generator) -> int:
    """Send changed copies of some of its records, manifests among them, under the same keys.

    Compaction will keep these and drop the true ones. Returns how many were sent.
    """
    producer = Producer({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    records = deque(read_topic(bootstrap_servers, topic), maxlen=_COPIES)
    for message in records:
        value = bytearray(message.value() or b"nothing")
        for place in rng.integers(0, len(value), 3).tolist():
            value[place] ^= int(rng.integers(1, 256))
        kept: bytes | None = bytes(value)
        if rng.random() < 0.3:
            kept = None if rng.random() < 0.5 else rng.bytes(100)
        producer.produce(topic, kept, message.key(), message.partition(), headers=message.headers())
    producer.flush(_ANSWER_S)
    return len(records)


def remove_records(bootstrap_servers: str, topic: str) -> None:
    """Delete all that the topic holds now, as a retention that was set by mistake would.

    Raises:
        KafkaException: the broker does not answer in time.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    partitions = admin.list_topics(topic, timeout=_ANSWER_S).topics[topic].partitions
    _set_policy(admin, topic, "compact,delete")
    # -1 is the partition's end.
    ends = [TopicPartition(topic, partition, -1) for partition in partitions]
    for future in admin.delete_records(ends, request_timeout=_ANSWER_S).values():
        future.result(_ANSWER_S)
    _set_policy(admin, topic, "compact")


def _set_policy(admin: AdminClient, topic: str, policy: str) -> None:
    entry = ConfigEntry(_POLICY, policy, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(_ANSWER_S)
