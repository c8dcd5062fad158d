"""The log of positions is read as far as it is committed, and no record of it twice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings
from streams.kafka.cluster_watch import passes
from streams.transactions import position_reader
from streams.transactions.position_log import PositionLog
from streams.transactions.position_reader import PositionReader

MakeTopics = Callable[..., tuple[str, ...]]
PLACE = ("events", 0)


@pytest.fixture
def log(make_topics: MakeTopics) -> str:
    (topic,) = make_topics("positions", config={"cleanup.policy": "compact"})
    return topic


@pytest.fixture
def reader(kafka: str, log: str) -> PositionReader:
    return PositionReader(KafkaSettings(bootstrap_servers=kafka), log, "ours", 60.0)


@contextmanager
def transaction(kafka: str, name: str, timeout_ms: int = 60_000) -> Iterator[Producer]:
    producer = Producer(
        {"bootstrap.servers": kafka, "transactional.id": name, "transaction.timeout.ms": timeout_ms}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    yield producer
    producer.commit_transaction(30)


def write(producer: Producer, log: str, offset: int, group: str = "ours") -> None:
    made = PositionLog(log, group, {"events": "id"}).of([TopicPartition(*PLACE, offset)])
    (key,), (value,) = made.keys, made.values
    producer.produce(log, value, key)
    assert producer.flush(30) == 0


def offset_by(reader: PositionReader) -> int:
    return reader.read(monotonic())[PLACE].offset


def test_only_what_was_committed_counts_and_only_of_the_group(
    kafka: str, log: str, reader: PositionReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reader.read(monotonic()) == {}
    with transaction(kafka, log) as producer:
        write(producer, log, 7)
    plain = Producer({"bootstrap.servers": kafka})
    write(plain, log, 900, group="others")
    for noise in (b"{}", b"\xff", None):
        plain.produce(log, noise, b"noise")
    assert plain.flush(30) == 0
    assert offset_by(reader) == 7

    begun: list[int] = []
    assign = PassingConsumer.assign

    def note(self: Any, places: list[TopicPartition]) -> None:
        begun.extend(each.offset for each in places)
        assign(self, places)

    monkeypatch.setattr(PassingConsumer, "assign", note)
    assert offset_by(reader) == 7
    assert begun == []
    write(plain, log, 9)
    assert offset_by(reader) == 9
    assert begun == [6]  # a record, its marker, and four records


def test_what_was_read_since_is_not_read_again(
    kafka: str, log: str, reader: PositionReader
) -> None:
    before = monotonic()
    assert reader.read(before) == {}
    write(Producer({"bootstrap.servers": kafka}), log, 3)
    assert reader.read(before) == {}
    assert offset_by(reader) == 3


def test_an_open_transaction_is_waited_for_since_it_hides_what_others_committed(
    kafka: str, log: str, reader: PositionReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(position_reader, "_WAIT_S", 0.3)
    with transaction(kafka, f"{log}-b", 900_000) as open_one:
        open_one.produce(log, b"holds the end of what is visible", b"b")
        assert open_one.flush(30) == 0
        with transaction(kafka, log) as producer:
            write(producer, log, 7)
        with pytest.raises(KafkaException, match="a transaction is open in") as error:
            reader.read(monotonic())
        assert passes(error.value)
    assert offset_by(reader) == 7


def test_a_transaction_that_hangs_is_not_waited_for(
    kafka: str,
    log: str,
    reader: PositionReader,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(position_reader, "_WAIT_S", 0.3)
    reader._longest_s = 0.2
    write(Producer({"bootstrap.servers": kafka}), log, 3)
    with transaction(kafka, f"{log}-b", 900_000) as hung:
        write(hung, log, 7)
        with pytest.raises(KafkaException):
            reader.read(monotonic())
        assert offset_by(reader) == 3
    assert "has been open for longer than any should" in caplog.text
    assert offset_by(reader) == 7


def test_patience_with_one_transaction_is_not_used_up_by_another(
    kafka: str, log: str, reader: PositionReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(position_reader, "_WAIT_S", 0.3)
    reader._longest_s = 0.2
    with transaction(kafka, f"{log}-b", 900_000) as first:
        write(first, log, 7)
        with pytest.raises(KafkaException):
            reader.read(monotonic())
    with transaction(kafka, f"{log}-b", 900_000) as second:
        write(second, log, 9)
        with pytest.raises(KafkaException):
            reader.read(monotonic())
    assert offset_by(reader) == 9


def test_a_log_that_was_made_anew_is_read_from_its_beginning(
    kafka: str, log: str, reader: PositionReader
) -> None:
    plain, admin = Producer({"bootstrap.servers": kafka}), AdminClient({"bootstrap.servers": kafka})
    for offset in (3, 4, 5):
        write(plain, log, offset)
    assert offset_by(reader) == 5
    admin.delete_topics([log])[log].result(30)
    made = False
    while not made:
        try:
            admin.create_topics([NewTopic(log, 1)])[log].result(30)
            made = True
        except KafkaException:
            pass
    write(Producer({"bootstrap.servers": kafka}), log, 1)
    assert offset_by(reader) == 1
