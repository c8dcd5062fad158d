"""Waiting for transactions: a commit returns before the partitions know of it."""

from time import monotonic, sleep

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec


def wait_until_settled(admin: AdminClient, topic: str) -> None:
    """Wait until all that stands in a topic is committed or aborted."""
    partitions = admin.list_topics(topic, timeout=60).topics[topic].partitions
    asked = {TopicPartition(topic, each): OffsetSpec.latest() for each in partitions}
    deadline = monotonic() + 60
    while True:
        ends = [
            [answer.result(60).offset for answer in answers.values()]
            for answers in (
                admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED),
                admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED),
            )
        ]
        if ends[0] == ends[1]:
            return
        assert monotonic() < deadline, f"a transaction in {topic} does not end"
        sleep(0.05)
