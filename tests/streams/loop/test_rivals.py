"""Which of several members of a group started last."""

import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer
from loop_world import wait

from streams.kafka.client import KafkaSettings
from streams.loop.rivals import Rivals, split_client_id
from streams.loop.settings import LoopSettings

MakeTopics = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("client_id", "name"),
    [
        ("weir-pod-3.1796060886700123", "pod-3"),
        ("weir-host.of.mine-77.1796060886700123", "host.of.mine-77"),
        ("weir-host.of.mine-77", "host.of.mine-77"),
        ("weir-pod.12", "pod.12"),
        ("rdkafka", "rdkafka"),
    ],
)
def test_a_client_id_tells_the_name_and_maybe_the_start(client_id: str, name: str) -> None:
    started = 1796060886700123 if client_id.endswith("123") else None
    assert split_client_id(client_id) == (name, started)


def test_only_who_started_later_and_has_the_same_name_is_a_successor(
    kafka: str, make_topics: MakeTopics
) -> None:
    (topic,) = make_topics("rivals", partitions=3)
    settings = KafkaSettings(bootstrap_servers=kafka)
    group = f"group-{uuid.uuid4().hex[:8]}"
    fused = [Rivals.of(settings, LoopSettings(group=group)) for _ in range(2)]
    staged = [
        Rivals.of(settings, LoopSettings(group=group, topology="staged", worker=worker))
        for worker in ("a", "b", "a")
    ]
    assert not fused[0].successor()
    ids = ["a-stranger", *(each.client_id for each in (fused[1], staged[1], staged[2]))]
    assert ids[2].startswith("weir-b.")
    members = [Consumer(settings.consumer_config(group_id=group) | {"client.id": i}) for i in ids]
    try:
        for member in members:
            member.subscribe([topic])

        def found() -> bool:
            for member in members:
                member.poll(0.05)
            return fused[0].successor() and staged[0].successor()

        wait(found)
        assert not staged[1].successor()
        assert not staged[2].successor()
        assert fused[1].successor(), "of the group, staged ones started later"
    finally:
        for member in members:
            member.close()
