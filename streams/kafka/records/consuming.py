"""Reading what a consumer has, or a topic to its present end; and what errors among it mean."""

import logging
from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.kafka.authorization import AuthorizationError, is_denial
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings, watermarks
from streams.kafka.topics.topic_watch import PositionLostError

logger = logging.getLogger(__name__)

_HOPELESS = {
    KafkaError._FATAL,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
    KafkaError.INVALID_SESSION_TIMEOUT,
}

_POSITION_LOST = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError._LOG_TRUNCATION,
    KafkaError.OFFSET_OUT_OF_RANGE,
}
"""What a consumer says that may not choose another position itself."""

_BATCH = 10_000
_POLL_S = 0.5


def is_end(message: Message) -> bool:
    """Whether this is no record, but word that a partition has no more of them for now."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def consume_ready(
    consumer: Consumer, limit: int, timeout_s: float, waited: Callable[[], None] = lambda: None
) -> list[Message]:
    """Up to `limit` messages that have come, waiting for the first one only.

    ``consume(limit)`` would wait for all of them until the timeout.

    Args:
        waited: called when the wait is over.
    """
    messages: list[Message] = consumer.consume(1, timeout_s)
    waited()
    if messages:
        messages += consumer.consume(limit - 1, 0.0)
    return messages


def read_ready(consumer: Consumer, limit: int, timeout_s: float) -> list[Message]:
    """The same for a consumer that joins no group: it needs no rights to one.

    The client has to name a group nevertheless, and complains where it may not use it.
    """
    return [
        message
        for message in consume_ready(consumer, limit, timeout_s)
        if message.error() is None
        or message.error().code() != KafkaError.GROUP_AUTHORIZATION_FAILED
    ]


def bounds_of(consumer: Consumer, topic: str, who: str) -> dict[int, tuple[int, int]]:
    """First offset of each partition of a topic, and the one behind its last.

    Raises:
        ValueError: there is no such topic.
        AuthorizationError: `who` may not see it.
        KafkaException: the cluster failed.
    """
    metadata = consumer.list_topics(topic, timeout=15).topics[topic]
    if metadata.error is not None:
        if is_denial(metadata.error):
            raise AuthorizationError([f"Read on topic {topic!r}"], who)
        if metadata.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaException(metadata.error)
        raise ValueError(f"there is no topic {topic!r}: make it with `weir topics`")
    return {
        partition: watermarks(consumer, TopicPartition(topic, partition))
        for partition in metadata.partitions
    }


def read_to_end(
    kafka: KafkaSettings,
    topic: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[list[Message]]:
    """Yield all committed records of a topic, in batches, ascending in offset per partition.

    The end is where each partition ended when reading began. Joins no group. A batch that can't be
    read is passed, and the log says so.

    Raises:
        ValueError: there is no such topic.
        AuthorizationError: we may not see it.
        KafkaException: the cluster failed.
    """
    consumer = PassingConsumer(kafka.consumer_config(group_id="weir-reader"))
    try:
        bounds = bounds_of(consumer, topic, kafka.who)
        unread = {each: high for each, (low, high) in bounds.items() if high > low}
        done, total = 0, sum(high - low for low, high in bounds.values())
        consumer.assign([TopicPartition(topic, each, bounds[each][0]) for each in unread])
        while unread:
            batch = []
            for message in read_ready(consumer, _BATCH, _POLL_S):
                partition, error = message.partition(), message.error()
                if error is not None and not is_end(message):
                    raise KafkaException(error)
                if partition not in unread:
                    continue
                ours = error is None and message.offset() < unread[partition]
                if ours and not isinstance(message, BadBatch):
                    batch.append(message)
                # The end may be a transaction marker, which no consumer sees: then EOF tells.
                if error is not None or message.offset() >= unread[partition] - 1:
                    del unread[partition]
            done += len(batch)
            progress(done, total)
            if batch:
                yield batch
    finally:
        consumer.close()


def note_errors(messages: Sequence[Message]) -> None:
    """Log errors among messages: the client goes on trying, and somebody may look for the reason.

    Raises:
        AuthorizationError: we may not read a topic.
        PositionLostError: a partition has nothing any more where reading was to go on.
        KafkaException: trying on is of no use.
    """
    for message in messages:
        error = message.error()
        if error is None or is_end(message):
            continue
        if is_denial(error) and message.topic():
            raise AuthorizationError([f"Read on topic {message.topic()!r}"])
        if error.code() in _POSITION_LOST:
            raise PositionLostError(
                f"{message.topic()}[{message.partition()}] has nothing at offset "
                f"{message.offset()} any more, which was to be read next ({error.str()}): its "
                "records expired before they were read, or the topic was truncated or made anew. "
                "Start again: the start says which, and what can be done"
            )
        if error.code() in _HOPELESS or is_denial(error):
            raise KafkaException(error)
        logger.warning("Kafka: %s", error.str())
