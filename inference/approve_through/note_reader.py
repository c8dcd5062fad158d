"""The last note on a partition, from the end of the feature log."""

from collections.abc import Iterator
from math import inf
from time import monotonic
from typing import NamedTuple

import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from inference.approve_through.spending import NOTE, Note, Spending, read_note
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings, watermarks
from streams.kafka.records.consuming import is_end, read_ready

_STRETCHES = (16, 256, 4_096)
"""So many records from the end are looked through, one stretch after another."""
_TIMEOUT_S = 10.0
_KEY = f"weir.{NOTE}".encode()


class Noted(NamedTuple):
    """What was found.

    Attributes:
        spending: of the partition.
        partitions: how many share the budget.
    """

    spending: Spending
    partitions: int


def last_note(kafka: KafkaSettings, topic: str, partition: int, before: int) -> Noted:
    """What a partition had spent when all events before an offset were answered, and no other.

    Nothing is waited for: records of transactions that are open, or were aborted, are read too.
    What was not committed is of later offsets, or was answered again since. Records without a note
    are of times when nothing was let through. Nobody knows what stood in one that can't be read.

    Raises:
        KafkaException: the cluster failed, or there is no such partition.
    """
    config = kafka.consumer_config(
        group_id="weir-reader",
        isolation_level="read_uncommitted",
        fetch_wait_max_ms=10,  # that there is no more is told at the end of a wait
    )
    consumer = PassingConsumer(config)
    try:
        metadata = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        partitions = len(metadata.partitions)
        low, high = watermarks(consumer, TopicPartition(topic, partition), _TIMEOUT_S)
        end = high
        for stretch in _STRETCHES:
            first = max(low, high - stretch)
            place = TopicPartition(topic, partition, first)
            found = list(_notes(consumer, place, end))
            notes = [note for note in found if note is not None and note.first < before]
            if None in found:
                break
            if notes:
                return Noted(max(notes, key=_lateness).spending, partitions)
            end = first
        return Noted(Spending(), partitions)
    finally:
        consumer.close()


def _notes(consumer: PassingConsumer, place: TopicPartition, end: int) -> Iterator[Note | None]:
    """Those from a position on, up to an offset; None for records that can't be read."""
    if place.offset >= end:
        return
    consumer.assign([place])
    deadline = monotonic() + _TIMEOUT_S
    while True:
        for message in read_ready(consumer, _STRETCHES[0], 0.1):
            if is_end(message) or (message.offset() or 0) >= end:
                return
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            if isinstance(message, BadBatch):
                yield None
            else:
                yield from _note_in(message.value() or b"")
            if message.offset() == end - 1:
                return
        if monotonic() > deadline:
            raise KafkaException(
                KafkaError(KafkaError._TIMED_OUT, f"{place.topic}[{place.partition}]: no answer")
            )


def _lateness(note: Note) -> tuple[int, int, float]:
    """Of two on the same events, one of which was aborted, the one with more spent counts."""
    spending = note.spending
    return note.first, spending.day or 0, inf if spending.amount is None else spending.amount


def _note_in(value: bytes) -> Iterator[Note]:
    try:
        metadata = pa.ipc.open_stream(value).schema.metadata or {}
        if _KEY in metadata:
            yield read_note(metadata[_KEY])
    except (ValueError, OSError, pa.ArrowException):
        return  # no record of ours
