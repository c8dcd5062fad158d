"""The loop of a staged worker: partitions begin one by one."""

import uuid
from collections.abc import Callable

from confluent_kafka import Consumer, Producer, TopicPartition
from copy_task import copying
from loop_world import running, wait

from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.loop.settings import LoopSettings

MakeTopics = Callable[..., list[str]]


def test_a_dead_workers_open_transaction_keeps_its_own_partitions_only(
    kafka: str, make_topics: MakeTopics
) -> None:
    source, target = make_topics("source", "target", partitions=2)
    settings = KafkaSettings(bootstrap_servers=kafka)
    group = f"group-{uuid.uuid4().hex[:8]}"
    producer = Producer(settings.producer_config())
    for partition in range(2):
        producer.produce(source, b"%d" % partition, partition=partition)
    assert producer.flush(30) == 0
    dead = Producer(settings.producer_config(transactional_id=group, transaction_timeout_ms=60_000))
    dead.init_transactions(30)
    dead.begin_transaction()
    member = Consumer(settings.consumer_config(group_id=group))
    member.subscribe([source])
    while not member.assignment():
        member.poll(0.1)
    offset = TopicPartition(source, 0, 1)
    dead.send_offsets_to_transaction([offset], member.consumer_group_metadata(), 30)
    member.close()

    told: set[str] = set()
    loop = copying(
        settings,
        LoopSettings(group=group, topology="staged"),
        source,
        target,
        observe_stage=lambda stage, seconds: told.add(stage),
    )

    def copied() -> set[bytes | None]:
        return {each.value() for batch in read_to_end(settings, target) for each in batch}

    with running(loop):
        wait(lambda: copied() == {b"1"})
        assert not loop.ready
        dead.abort_transaction(30)
        wait(lambda: copied() == {b"0", b"1"})
        assert loop.ready
    assert told == {"wait", "consume", "copy", "commit_wait", "upkeep"}
