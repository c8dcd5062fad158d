"""What a member of a group reads and may commit, while partitions come and go."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from counting import MakeTopics
from loop_world import wait

from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import consume_ready
from streams.loop.position_check import PositionCheck
from streams.loop.stateless import group_reader
from streams.loop.stateless.group_reader import GroupReader


def member(
    settings: KafkaSettings, group: str, topic: str, session_timeout: int = 2_000
) -> GroupReader:
    check = PositionCheck(settings, group=group, topics=[topic], log_topic="", tolerant=False)
    check.run(Event(), 10.0)
    return GroupReader(
        kafka=settings, group=group, topics=[topic], session_timeout=session_timeout, check=check
    )


@contextmanager
def another_member(settings: KafkaSettings, group: str, topic: str) -> Iterator[None]:
    """One that reads nothing of its share."""
    stop = Event()

    def stay() -> None:
        with member(settings, group, topic, session_timeout=3_000) as other:
            while not stop.is_set():
                other.wait(0.05)

    thread = Thread(target=stay)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def test_what_came_before_its_partition_went_is_dropped(
    kafka: str, make_topics: MakeTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group is heard in each of the two calls that a batch is made of."""
    settings, group = KafkaSettings(bootstrap_servers=kafka), uuid.uuid4().hex
    (topic,) = make_topics("source", partitions=2)
    with member(settings, group, topic) as reader:
        # The cluster takes offsets from anybody who names no member.
        assert reader.membership() is None
        wait(lambda: reader.poll(10, 0.05) == [] and reader.ready)
        assert reader.membership() is not None
        producer = Producer({"bootstrap.servers": kafka})
        for partition in (0, 1) * 5:
            producer.produce(topic, b"", partition=partition)
        assert producer.flush(30) == 0

        def with_a_rebalance(consumer: Any, limit: int, timeout_s: float) -> list[Message]:
            if consumer is not reader._consumer:
                return consume_ready(consumer, limit, timeout_s)
            came: list[Message] = []
            while len({each.partition() for each in came if each.error() is None}) < 2:
                came += consumer.consume(1, 1.0)
            with another_member(settings, group, topic):
                while len(consumer.assignment()) == 2:
                    came += consumer.consume(1, 0.05)
                mixed.extend(came)
                return came

        mixed: list[Message] = []
        monkeypatch.setattr(group_reader, "consume_ready", with_a_rebalance)
        messages = reader.poll(10, 1.0)
        assert {message.partition() for message in mixed} == {0, 1}
        kept = {message.partition() for message in messages}
        assert len(kept) == 1
        read = [message for message in mixed if message.error() is None]
        assert {each.partition for each in reader.positions(read)} == kept


def test_what_was_not_read_is_told_before_it_comes(kafka: str, make_topics: MakeTopics) -> None:
    settings, group = KafkaSettings(bootstrap_servers=kafka), uuid.uuid4().hex
    (topic,) = make_topics("source", partitions=2)
    producer = Producer({"bootstrap.servers": kafka})

    def produce(partition: int, count: int) -> None:
        for _ in range(count):
            producer.produce(topic, b"", partition=partition)
        assert producer.flush(30) == 0

    produce(0, 3)
    produce(1, 2)
    with member(settings, group, topic) as reader:
        read: list[Message] = []
        wait(lambda: read.extend(reader.poll(1, 0.0)) or len(reader.unread()) == 2)
        assert sum(reader.unread().values()) == 5 - len(read)
        wait(lambda: read.extend(reader.poll(1, 0.05)) or len(read) == 5)
        assert reader.unread() == {(topic, 0): 0, (topic, 1): 0}
        produce(1, 4)
        assert reader.unread() == {(topic, 0): 0, (topic, 1): 4}
        assert reader.unread_elsewhere() == {}, "all are ours"
        with member(settings, group, topic) as other:

            def shared() -> bool:
                both = reader, other
                for each in both:
                    read.extend(each.poll(10, 0.05))
                return all(len(each.unread()) == 1 for each in both)

            wait(shared)
            # Nothing was ever committed: all that the partition holds may wait.
            held = {(topic, 0): 3, (topic, 1): 6}
            (place,) = other.unread()
            assert reader.unread_elsewhere() == {place: held[place]}
