"""Texts of headers, of records that a real broker has."""

from collections.abc import Callable

from confluent_kafka import Consumer, TopicPartition

from streams.intake.header_texts import header_texts
from tests.raw_producer import produce


def test_headers_are_read_whatever_bytes_they_are(
    kafka: str, make_topics: Callable[..., list[str]]
) -> None:
    [topic] = make_topics("headers")
    written: list[list[tuple[bytes, bytes | None]]] = [
        [(b"a", b"1"), (b"b", b"x"), (b"a", b"2")],
        [(b"A", b"1"), (b"b", b"\xf0\x9f\x98\xff\x80")],
        [(b"a", b"1"), (b"a", None)],
        [(b"a", b"1"), (b"\xff\xfe", b"1")],
        [(b"a", b"x" + "😀".encode() * 2_000)],
        [],
    ]
    for headers in written:
        produce(kafka, topic, b"{}", headers)
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "headers"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = [message for _ in written if (message := consumer.poll(60)) is not None]
    consumer.close()
    assert header_texts(messages, ["header:b", "header:a"]) == [
        ["x", "2"],
        ["\ufffd\ufffd\ufffd", None],
        [None, None],
        [None, None],
        [None, "x" + "😀" * 255],
        [None, None],
    ]
