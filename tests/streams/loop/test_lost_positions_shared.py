"""The same of workers that share partitions: staged ones, and those of the stateless loop."""

from collections.abc import Callable

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from copy_task import copying
from counting import PARTITIONS, CountingWorld, MakeTopics
from loop_world import Running, running, wait

from streams.kafka.client import KafkaSettings, connect
from streams.kafka.records.consuming import read_to_end
from streams.kafka.topics.topic_partitions import widen_topics
from streams.kafka.topics.topic_watch import PositionLostError
from streams.loop.settings import LoopSettings
from streams.loop.stateless.loop import StatelessLoop


@pytest.fixture
def admin(kafka: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka})


@pytest.fixture
def counting(kafka: str, make_topics: MakeTopics) -> CountingWorld:
    return CountingWorld.make(kafka, make_topics)


@pytest.fixture
def worker(counting: CountingWorld, make_topics: MakeTopics) -> Callable[..., StatelessLoop]:
    (positions,) = make_topics("positions", config={"cleanup.policy": "compact"})
    return lambda **more: counting.worker("a", position_log=positions, **more)


def test_a_stateless_group_that_was_forgotten_goes_on_where_it_was(
    counting: CountingWorld, admin: AdminClient, worker: Callable[..., StatelessLoop]
) -> None:
    for _ in range(2):
        counting.send(48)
        with running(worker()):
            wait(lambda: counting.answered() == counting.sent)
        admin.delete_consumer_groups([counting.group])[counting.group].result(30)
    counting.check()


def test_records_that_expired_unread_are_said_with_a_choice(
    counting: CountingWorld, admin: AdminClient, worker: Callable[..., StatelessLoop]
) -> None:
    counting.send(48)
    with running(worker()):
        wait(lambda: counting.answered() == 48)
    counting.send(12)
    place = TopicPartition(counting.source, 1, 14)
    admin.delete_records([place])[place].result(30)
    runner = Running(worker())
    assert runner.ended(40)
    assert isinstance(runner.error, PositionLostError)
    assert f"2 records of {counting.source}[1] expired before the group" in str(runner.error)
    assert 'snapshots.on_missing_history = "warn"' in str(runner.error)
    with running(worker(tolerant=True)):
        wait(lambda: counting.answered() == 58)


def test_a_stateless_worker_takes_up_partitions_that_are_added(
    counting: CountingWorld, admin: AdminClient, worker: Callable[..., StatelessLoop]
) -> None:
    def widen() -> None:
        topics = [counting.counts, counting.state_topic]
        widen_topics(connect(counting.kafka), topics, PARTITIONS + 1, "the source has them")

    counting.send(12)
    with running(worker(widen=widen)) as runner:
        wait(lambda: counting.answered() == 12)
        add_partition(admin, counting.source, PARTITIONS + 1)
        send_to(counting.bootstrap_servers, counting.source, PARTITIONS)
        wait(lambda: counting.answered() == 13)
        wait(lambda: runner.loop.ready)


def test_a_staged_worker_begins_its_tasks_anew_for_partitions_that_are_added(
    kafka: str, make_topics: MakeTopics, admin: AdminClient
) -> None:
    source, target = make_topics("source", "target")
    (positions,) = make_topics("positions", config={"cleanup.policy": "compact"})
    settings = KafkaSettings(bootstrap_servers=kafka)

    def copied() -> int:
        return sum(len(batch) for batch in read_to_end(settings, target))

    send_to(kafka, source, 0)
    loop = copying(
        settings,
        LoopSettings(group=source, topology="staged"),
        source,
        target,
        position_log=positions,
        widen=lambda: widen_topics(admin, [target], 2, "the source has them"),
    )
    with running(loop):
        wait(lambda: copied() == 1)
        add_partition(admin, source, 2)
        wait(lambda: not loop.ready)
        send_to(kafka, source, 1)
        wait(lambda: copied() == 2)
        wait(lambda: loop.ready)


def add_partition(admin: AdminClient, topic: str, count: int) -> None:
    admin.create_partitions([NewPartitions(topic, count)])[topic].result(30)


def send_to(bootstrap_servers: str, topic: str, partition: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    wait(lambda: partition in producer.list_topics(topic, 10).topics[topic].partitions)
    producer.produce(topic, b"7", b"key", partition)
    assert producer.flush(30) == 0
