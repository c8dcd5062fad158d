"""The local broker does what a Kafka broker does."""

import uuid
from collections.abc import Callable

from confluent_kafka import Consumer, Message, Producer

MakeTopics = Callable[..., list[str]]


def _client(servers: str, **more: object) -> dict[str, object]:
    return {
        "bootstrap.servers": servers,
        "log_level": 3,
        **{k.replace("_", "."): v for k, v in more.items()},
    }


def _read_committed(servers: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer(
        _client(
            servers,
            group_id=uuid.uuid4().hex,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
    )
    consumer.subscribe([topic])
    values: list[bytes | None] = []
    try:
        while len(values) < count:
            batch: list[Message] = consumer.consume(count, timeout=30)
            assert batch, f"only {values} came"
            values += [message.value() for message in batch]
    finally:
        consumer.close()
    return values


def test_a_group_reads_what_was_produced(kafka: str, make_topics: MakeTopics) -> None:
    (topic,) = make_topics("plain", partitions=3)
    producer = Producer(_client(kafka))
    for number in range(50):
        producer.produce(topic, str(number), key=str(number))
    assert producer.flush(30) == 0
    values = _read_committed(kafka, topic, 50)
    assert sorted(values) == sorted(str(number).encode() for number in range(50))
