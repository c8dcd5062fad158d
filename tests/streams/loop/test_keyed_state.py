"""What is kept by key, and the topic that it is kept in."""

from threading import Event

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import ConfigResource, ResourceType
from counting import MakeTopics

from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics.topic_partitions import TopicError
from streams.loop.stateless.keyed_state import KeyedState, PartitionState
from streams.loop.stateless.state_topic import ensure_state_topic, read_state


def test_changes_are_taken_back_until_they_are_committed() -> None:
    state = PartitionState({b"a": b"1", b"b": b"2"})
    state.put(b"a", b"3")
    state.put(b"a", b"4")
    state.put(b"b", None)
    state.put(b"c", b"5")
    assert state.changes() == {b"a": b"4", b"b": None, b"c": b"5"}
    state.rollback()
    assert dict(state.items()) == {b"a": b"1", b"b": b"2"}
    assert state.changes() == {}
    state.put(b"b", b"6")
    state.commit()
    state.rollback()
    assert (state.get(b"b"), state.get(b"c"), len(state)) == (b"6", None, 2)


def test_only_the_state_of_our_partitions_can_be_used() -> None:
    state = KeyedState(kafka=KafkaSettings(), topic="state", source="source")
    state.load(("source", 2), {b"a": b"1"})
    state.load(("labels", 1), {})
    assert state.of(2).get(b"a") == b"1"
    with pytest.raises(LookupError, match=r"source\[1\] is with another worker"):
        state.of(1)
    state.of(2).put(b"a", b"2")
    (out,) = state.changes()
    assert (out.topic, *out.keys, *out.values, *out.partitions) == ("state", b"a", b"2", 2)
    state.drop(("source", 2))
    assert state.changes() == []


def test_the_topic_is_compacted_and_follows_its_source(kafka: str, make_topics: MakeTopics) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka)
    admin = connect(settings)
    (source,) = make_topics("source", partitions=3)
    (other,) = make_topics("source", partitions=4)
    (few,) = make_topics("source", partitions=2)
    topic = f"{source}-state"
    assert ensure_state_topic(admin, topic, source) == [topic]
    assert ensure_state_topic(admin, topic, source) == []
    resource = ConfigResource(ResourceType.TOPIC, topic)
    config = admin.describe_configs([resource])[resource].result(30)
    assert config["cleanup.policy"].value == "compact"
    with pytest.raises(TopicError, match=r"has 3 partitions, and .* has 4: .*--partitions 4"):
        ensure_state_topic(admin, topic, other)
    with pytest.raises(TopicError, match=r"has 3 partitions, and .* has 2: .*another name"):
        ensure_state_topic(admin, topic, few)
    with pytest.raises(TopicError, match="there is no topic 'nowhere'"):
        ensure_state_topic(admin, topic, "nowhere")


def test_the_last_committed_values_are_read(kafka: str, make_topics: MakeTopics) -> None:
    (topic,) = make_topics("state", partitions=2)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(30)
    for commit, changes in (
        (True, {b"a": b"1", b"b": b"2", b"c": b"3"}),
        (True, {b"a": b"4", b"b": None}),
        (False, {b"a": b"5", b"d": b"6"}),
    ):
        producer.begin_transaction()
        for key, value in changes.items():
            producer.produce(topic, value, key, 1)
        producer.flush(30)
        if commit:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    settings, cancelled = KafkaSettings(bootstrap_servers=kafka), Event()
    assert read_state(settings, topic, 1, cancelled) == {b"a": b"4", b"c": b"3"}
    assert read_state(settings, topic, 0, cancelled) == {}
