import hashlib

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from streams.dead_letters.letter import dead_letter, read_dead_letter
from streams.events.rejection import Reason, Rejected
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.message import headers_of
from tests.raw_producer import produce

REJECTED = Rejected(4, Reason.OUT_OF_BOUNDS, "ämount", "'ämount' = -1 is below min = 0")


def message(value=b'{"a":1}', key=b"card", headers=None, timestamp=(1, 1_000), **place):
    at = {"topic": "events", "partition": 3, "offset": 2**40} | place
    return Message(value=value, key=key, headers=headers, timestamp=timestamp, **at)


def as_sent(record, **place):
    """The record as a consumer of the topic it was sent to sees it."""
    at = {"topic": "dead", "partition": 0, "offset": 9, "timestamp": (1, 3_000)} | place
    return message(record.value, record.key, record.headers or None, **at)


def size(record):
    """An upper bound of what the record weighs in Kafka: its bytes and generous framing."""
    headers = sum(len(name) + len(value or b"") + 10 for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers + 128


@pytest.mark.parametrize("value", [b'{"a":1}', b"\xff\x00", b"", None])
@pytest.mark.parametrize("key", [b"card", b"", None])
def test_round_trip(value, key):
    headers = [("traceparent", b"00-1"), ("traceparent", b"00-2"), ("none", None)]
    record = dead_letter(message(value, key, headers), REJECTED, 2_000, 10_000)
    assert (record.key, record.value) == (key, value)
    letter = read_dead_letter(as_sent(record))
    assert (letter.key, letter.value, letter.headers) == (key, value, headers)
    assert letter.reason == Reason.OUT_OF_BOUNDS
    assert letter.field == "ämount"
    assert letter.detail == REJECTED.detail
    assert (letter.topic, letter.partition, letter.offset) == ("events", 3, 2**40)
    assert (letter.timestamp_ms, letter.at_ms) == (1_000, 2_000)
    assert letter.version
    assert (letter.truncated_from, letter.sha256, letter.dropped) == (None, None, "")
    assert (letter.history, letter.attempts) == ([], 1)


def test_headers_are_plain_text_and_absent_where_there_is_nothing_to_say():
    rejected = Rejected(0, Reason.EMPTY, None, "empty")
    headers = dict(dead_letter(message(timestamp=(0, 0)), rejected, 2_000, 10_000).headers)
    assert headers["weir.reason"] == b"empty"
    assert headers["weir.partition"] == b"3"
    assert headers["weir.at"] == b"2000"
    assert "weir.field" not in headers
    assert "weir.timestamp" not in headers


def test_a_requeued_record_keeps_its_history():
    sent = message(headers=[("traceparent", b"00-1")])
    for attempt in range(1, 13):
        rejected = Rejected(0, Reason.MISSING_FIELD, "a", f"attempt {attempt}")
        record = dead_letter(sent, rejected, attempt, 100_000)
        letter = read_dead_letter(as_sent(record))
        assert letter.attempts == attempt
        assert letter.detail == f"attempt {attempt}"
        assert [past["at"] for past in letter.history] == [str(n) for n in range(1, attempt)]
        assert letter.headers == [("traceparent", b"00-1")]
        sent = as_sent(letter.requeue(), topic="events", partition=3, offset=attempt)
    assert letter.history[0]["detail"] == "attempt 1"
    assert letter.history[3]["offset"] == "3"


def test_a_large_value_keeps_its_beginning_its_size_and_its_hash():
    value = bytes(range(256)) * 100
    record = dead_letter(message(value), REJECTED, 2_000, 5_000)
    assert 4_000 < size(record) <= 5_000
    letter = read_dead_letter(as_sent(record))
    assert value.startswith(letter.value)
    assert len(letter.value) < len(value)
    assert letter.truncated_from == len(value)
    assert letter.sha256 == hashlib.sha256(value).hexdigest()
    with pytest.raises(ValueError, match=r"events\[3\]@1099511627776 holds only a part"):
        letter.requeue()


def test_a_value_is_cut_only_where_it_must_be():
    sizes = range(3_000, 5_000)
    letters = [dead_letter(message(b"x" * n), REJECTED, 2_000, 5_000) for n in sizes]
    assert all(size(letter) <= 5_000 for letter in letters)
    whole = [len(letter.value) == n for n, letter in zip(sizes, letters, strict=True)]
    assert whole == sorted(whole, reverse=True)
    assert any(whole)
    for n, letter, is_whole in zip(sizes, letters, whole, strict=True):
        assert read_dead_letter(as_sent(letter)).truncated_from == (None if is_whole else n)


def test_large_headers_go_before_the_value_is_lost():
    record = dead_letter(message(headers=[("h", b"x" * 9_000)]), REJECTED, 2_000, 5_000)
    letter = read_dead_letter(as_sent(record))
    assert (letter.value, letter.key, letter.headers) == (b'{"a":1}', b"card", [])
    assert (letter.dropped, letter.truncated_from) == ("headers", None)
    with pytest.raises(ValueError, match="read the original at that offset"):
        letter.requeue()


def test_a_large_key_goes_last():
    record = dead_letter(message(key=b"k" * 9_000), REJECTED, 2_000, 5_000)
    letter = read_dead_letter(as_sent(record))
    assert (letter.value, letter.key, letter.dropped) == (b'{"a":1}', None, "headers,key")


def test_a_limit_without_room_is_refused():
    with pytest.raises(ValueError, match="allow at least 4096"):
        dead_letter(message(), REJECTED, 2_000, 300)


@pytest.mark.parametrize(
    "headers", [None, [("weir.reason", b"empty")], [("weir.offset", b"x"), ("a", None)]]
)
def test_another_record_is_no_dead_letter(headers):
    with pytest.raises(ValueError, match=r"dead\[0\]@9 is no dead letter .* dead-letter topic\?"):
        read_dead_letter(message(headers=headers, topic="dead", partition=0, offset=9))


def test_forged_headers_of_a_producer_do_not_break_the_letter():
    forged = [("weir.reason", b"\xff"), ("weir.history.x", None), ("weir.history.7.at", b"\xff")]
    letter = read_dead_letter(as_sent(dead_letter(message(headers=forged), REJECTED, 2, 10_000)))
    assert letter.reason == Reason.OUT_OF_BOUNDS
    assert letter.value == b'{"a":1}'
    assert letter.requeue().value == b'{"a":1}'


@pytest.mark.parametrize("number", ["9" * 5_000, "9" * 10, "\u0663", "\u00b2", "-1", "x", ""])
def test_a_forged_history_is_no_disaster(number):
    forged = [(f"weir.history.{number}.reason", b"empty"), ("weir.offset", b"9" * 5_000)]
    letter = read_dead_letter(as_sent(dead_letter(message(headers=forged), REJECTED, 1, 100_000)))
    assert (letter.reason, letter.offset) == (Reason.OUT_OF_BOUNDS, 2**40)
    assert letter.attempts == 2  # the forged offset looks like an earlier rejection
    again = dead_letter(as_sent(letter.requeue()), REJECTED, 2, 100_000)
    assert read_dead_letter(as_sent(again)).attempts == 3


def test_a_batch_that_cannot_be_read_is_named_and_cannot_be_requeued():
    said = "Decompression (codec 0x4) of message at 10 of 6518 bytes failed: Invalid"
    batch = BadBatch("events", 3, 10, 159, said)
    record = dead_letter(batch, batch.rejected(0), 2_000, 10_000)
    letter = read_dead_letter(as_sent(record))
    assert (letter.reason, letter.offset, letter.last_offset) == ("bad_batch", 10, 159)
    assert "offsets 10 to 159 (6,518 bytes of zstd)" in letter.detail
    assert (letter.key, letter.value, letter.dropped) == (None, None, "records")
    with pytest.raises(ValueError, match="only a part"):
        letter.requeue()


def test_a_header_name_that_is_no_utf8_costs_the_headers_and_nothing_else(kafka, make_topics):
    """Kafka takes it from any client that does not look, and Confluent's can't read it."""
    [topic] = make_topics("raw")
    produce(kafka, topic, b"x", [(b"good", b"1")])
    produce(kafka, topic, b"y", [(b"\xff\xfe", b"1"), (b"good", b"1")])
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "raw"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    good, bad = consumer.poll(60), consumer.poll(60)
    consumer.close()
    assert headers_of(good) == [("good", b"1")]
    for _ in range(3):
        assert headers_of(bad) is None
    letter = read_dead_letter(as_sent(dead_letter(bad, REJECTED, 1, 10_000)))
    assert (letter.value, letter.headers, letter.dropped) == (b"y", [], "headers")
    assert letter.is_partial
    with pytest.raises(ValueError, match="is no dead letter"):
        read_dead_letter(bad)
