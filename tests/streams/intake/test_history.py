"""Reading again what was answered: all before the committed offsets, and nothing else."""

import json
import random
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from running_sum import CONTRACT

from streams.intake.history import read_history
from streams.intake.input_batch import InputBatch
from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings

MakeTopics = Callable[..., list[str]]
START = 1_600_000_000_000
NOW = 1_700_000_000_000


def new_intake(events: str, labels: str | None = None) -> Intake:
    return Intake(CONTRACT, events, labels, AlignmentSettings(), lambda: NOW)


def read(
    kafka: str,
    intake: Intake,
    committed: list[TopicPartition],
    begins: dict[int, int] | None = None,
) -> list[InputBatch]:
    """Read up to the committed offsets, from the low ones or where `begins` says by partition."""
    config = KafkaSettings(bootstrap_servers=kafka).consumer_config()
    consumer = Consumer(config | {"group.id": "any"})
    starts = []
    for each in committed:
        low, _ = consumer.get_watermark_offsets(each, timeout=30)
        starts.append(Position(each.topic, each.partition, (begins or {}).get(each.partition, low)))
    consumer.close()
    ends = {(each.topic, each.partition): each.offset for each in committed}
    return list(read_history(config, intake, starts, ends))


def ids(works: list[InputBatch]) -> list[int]:
    return [event_id for work in works for event_id in work.events.ids]


def event(i: int, at: int) -> bytes:
    return json.dumps({"id": i, "account": i % 9, "amount": 1, "at": at}).encode()


def label(i: int, at: int) -> bytes:
    return json.dumps({"event_id": i, "label": 1, "time": at}).encode()


@pytest.fixture
def topics(kafka: str, make_topics: MakeTopics) -> tuple[str, str]:
    """2,000 events and 500 labels in the order of time, dealt out to 3 partitions each."""
    events, labels = make_topics("events", "labels", partitions=3)
    rng = random.Random(3)
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    for i in range(2_000):
        producer.produce(events, event(i, START + i), partition=rng.choice((0, 0, 0, 1, 2)))
        if i % 4 == 0:
            producer.produce(labels, label(i, START + i), partition=rng.randrange(3))
    producer.produce(events, b"noise", partition=0)
    assert producer.flush(30) == 0
    return events, labels


def test_partitions_are_read_in_the_order_of_time(kafka: str, topics: tuple[str, str]) -> None:
    events, labels = topics
    ends = [TopicPartition(topic, p, 10_000) for topic in topics for p in range(3)]
    works = read(kafka, new_intake(events, labels), ends)
    assert ids(works) == list(range(2_000))
    seen, before = [], 0
    for work in works:
        pairs = zip(work.labels.ids, work.labels.before.tolist(), strict=True)
        seen += [(event_id, before + place) for event_id, place in pairs]
        before += len(work.events)
    assert sorted(seen) == [(i, i) for i in range(0, 2_000, 4)]
    assert sum(len(work.bad) for work in works) == 1


def test_it_ends_where_the_offsets_say(kafka: str, topics: tuple[str, str]) -> None:
    events, _ = topics
    everything = read(
        kafka, new_intake(events), [TopicPartition(events, p, 9_999) for p in range(3)]
    )
    places = [
        place
        for work in everything
        for place in zip(work.partitions.tolist(), work.offsets.tolist(), strict=True)
    ]
    ends = {0: 700, 1: 0, 2: 123}
    works = read(kafka, new_intake(events), [TopicPartition(events, p, ends[p]) for p in ends])
    wanted = [i for i, (partition, offset) in enumerate(places) if offset < ends[partition]]
    assert ids(works) == wanted
    assert len(wanted) == 823


def test_nothing_committed_is_no_history(kafka: str, topics: tuple[str, str]) -> None:
    events, _ = topics
    assert read(kafka, new_intake(events), [TopicPartition(events, p, 0) for p in range(3)]) == []


def test_what_was_aborted_never_was_and_markers_end_it_too(
    kafka: str, make_topics: MakeTopics
) -> None:
    (events,) = make_topics("events")
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": events})
    producer.init_transactions(30)
    for lap in range(4):
        producer.begin_transaction()
        for i in range(10):
            producer.produce(events, event(10 * lap + i, START + 10 * lap + i))
        producer.flush(10)
        producer.commit_transaction(30) if lap % 2 == 0 else producer.abort_transaction(30)
    expected = [*range(10), *range(20, 30)]
    # 44 is behind the last marker, 43 that marker itself, 33 the one before the last transaction.
    for end in (44, 43, 33):
        assert ids(read(kafka, new_intake(events), [TopicPartition(events, 0, end)])) == expected


def test_records_that_retention_took_are_passed_over(kafka: str, make_topics: MakeTopics) -> None:
    (events,) = make_topics("events", partitions=2)
    producer = Producer({"bootstrap.servers": kafka})
    for i in range(20):
        producer.produce(events, event(i, START + i), partition=i % 2)
    assert producer.flush(30) == 0
    admin = AdminClient({"bootstrap.servers": kafka})
    gone = [TopicPartition(events, 0, 6), TopicPartition(events, 1, 10)]
    for deleted in admin.delete_records(gone).values():
        deleted.result(30)
    committed = [TopicPartition(events, 0, 10), TopicPartition(events, 1, 7)]
    assert ids(read(kafka, new_intake(events), committed)) == [12, 14, 16, 18]
