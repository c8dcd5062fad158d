"""Batches whose bytes were damaged on the broker's disk, and healed or not: real broker."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from confluent_kafka import Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.kafka.batches import consumer as consumer_module
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import is_end
from weir.broker import BrokerSettings, LocalBroker

CODECS = ("gzip", "snappy", "lz4", "zstd")
_HEADER = 61


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A broker whose disk may be damaged, and its data."""
    folder = tmp_path_factory.mktemp("kafka")
    with LocalBroker(BrokerSettings(data_dir=folder, port=0)) as broker:
        yield broker.bootstrap_servers, folder


def make_topic(servers: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)


def send(servers: str, topic: str, value: bytes, count: int, codec: str) -> None:
    """Send a batch."""
    producer = Producer(
        {"bootstrap.servers": servers, "compression.type": codec, "linger.ms": 5_000}
    )
    # What waits for this first may have waited for long enough, and goes one by one.
    assert producer.list_topics(topic, 30).topics[topic].partitions
    for _ in range(count):
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def flip(folder: Path, topic: str, number: int) -> None:
    """Change the first packed byte of one of the topic's batches; twice is as if never."""
    (log,) = folder.rglob(f"{topic}-0/*.log")
    with log.open("r+b") as file:
        data, begin = file.read(), 0
        for _ in range(number):
            begin += 12 + int.from_bytes(data[begin + 8 : begin + 12], "big")
        file.seek(begin + _HEADER)
        file.write(bytes([data[begin + _HEADER] ^ 0x55]))


def read_all(consumer: PassingConsumer) -> list[Message]:
    """What comes, the end included."""
    read: list[Message] = []
    deadline = monotonic() + 30
    while not any(map(is_end, read)):
        assert monotonic() < deadline, read
        read += consumer.consume(1)
    return read


def damaged(servers: str, folder: Path, topic: str, codec: str) -> PassingConsumer:
    """Three good records, a damaged batch of four, and three good ones; who is to read them."""
    make_topic(servers, topic)
    send(servers, topic, b"good", 3, codec)
    send(servers, topic, b"damaged" * 20, 4, codec)
    flip(folder, topic, 1)
    send(servers, topic, b"good", 3, codec)
    config = KafkaSettings(bootstrap_servers=servers).consumer_config(group_id="reader")
    consumer = PassingConsumer(config)
    consumer.assign([TopicPartition(topic, 0, 0)])
    return consumer


@pytest.mark.parametrize("codec", CODECS)
def test_a_damaged_batch_is_passed_and_named(own_broker: tuple[str, Path], codec: str) -> None:
    consumer = damaged(*own_broker, f"damaged-{codec}", codec)
    try:
        *records, end = read_all(consumer)
    finally:
        consumer.close()
    assert [each.offset() for each in records] == [0, 1, 2, 6, 7, 8, 9]
    (bad,) = (each for each in records if isinstance(each, BadBatch))
    assert (bad.first, bad.offset(), bad.next_offset) == (3, 6, 7)
    assert f"bytes of {codec}" in bad.rejected(0).detail
    assert end.offset() == 10


def test_what_can_be_read_again_is_not_passed(
    own_broker: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    servers, folder = own_broker
    monkeypatch.setattr(consumer_module, "_ATTEMPTS", 10**9)
    consumer = damaged(servers, folder, "healed", "lz4")
    goes_on = consumer._go_on_at
    failures: list[int] = []

    def noted(place: tuple[str, int], offset: int) -> bool:
        failures.append(offset)
        return goes_on(place, offset)

    monkeypatch.setattr(consumer, "_go_on_at", noted)
    try:
        before = []
        while len(failures) < 3:
            before += consumer.consume(1, 0.1)
        flip(folder, "healed", 1)
        *records, _ = before + read_all(consumer)
    finally:
        consumer.close()
    assert set(failures) == {3}
    assert [each.offset() for each in records] == list(range(10))
    assert not any(isinstance(each, BadBatch) for each in records)
