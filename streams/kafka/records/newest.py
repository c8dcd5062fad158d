"""Reading a topic from its end backwards, as far as somebody cares."""

from collections.abc import Generator

from confluent_kafka import KafkaException, Message, TopicPartition

from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import bounds_of, is_end, read_ready

_FIRST_PIECE = 16
"""Offsets of each partition; markers of transactions have some, too."""
_LARGEST_PIECE = 512
_POLL_S = 0.5


def read_newest_first(
    kafka: KafkaSettings, topic: str
) -> Generator[tuple[list[Message], frozenset[int]], None, None]:
    """Yield a topic's committed records in pieces, the newest first, each ascending in offset.

    With each piece, the partitions of which there is more. Ends where each partition ended when
    reading began. Joins no group. A batch that can't be read is passed.

    Raises:
        ValueError: there is no such topic.
        AuthorizationError: we may not see it.
        KafkaException: the cluster failed.
    """
    consumer = PassingConsumer(
        kafka.consumer_config(group_id="weir-reader", allow_auto_create_topics=False)
    )
    try:
        bounds = bounds_of(consumer, topic, kafka.who)
        stops = {each: high for each, (low, high) in bounds.items() if high > low}
        size = _FIRST_PIECE
        while stops:
            begins = {each: max(bounds[each][0], stop - size) for each, stop in stops.items()}
            piece = _between(consumer, topic, begins, stops)
            stops = {each: begin for each, begin in begins.items() if begin > bounds[each][0]}
            size = min(2 * size, _LARGEST_PIECE)
            yield piece, frozenset(stops)
    finally:
        consumer.close()


def _between(
    consumer: PassingConsumer, topic: str, begins: dict[int, int], stops: dict[int, int]
) -> list[Message]:
    consumer.assign([TopicPartition(topic, each, begin) for each, begin in begins.items()])
    unread, found = set(begins), []
    while unread:
        for message in read_ready(consumer, _LARGEST_PIECE, _POLL_S):
            partition, error = message.partition(), message.error()
            if error is not None and not is_end(message):
                raise KafkaException(error)
            if partition not in unread:
                continue
            ours = error is None and message.offset() < stops[partition]
            if ours and not isinstance(message, BadBatch):
                found.append(message)
            # Before the stop may be a marker, which no consumer sees: what follows it tells.
            if error is not None or message.offset() >= stops[partition] - 1:
                unread.discard(partition)
    return found
