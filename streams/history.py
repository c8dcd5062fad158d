"""Reading again what was already answered, to rebuild state after a start or a failure."""

import logging
from collections.abc import Generator, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.intake import Intake, Work
from streams.kafka import watermarks

logger = logging.getLogger(__name__)

_BATCH = 10_000
_POLL_S = 0.2


def read_history(
    config: dict[str, Any], intake: Intake, committed: Sequence[TopicPartition]
) -> Generator[Work, None, None]:
    """Yield all work before the committed offsets, in the order of event time.

    Args:
        config: settings of a consumer; it joins no group and commits nothing.
        intake: an intake of its own; its partitions are set here.
        committed: for each partition the offset at which new work begins.

    Raises:
        KafkaException: the cluster failed for longer than the client is willing to wait.
    """
    consumer = Consumer(config | {"group.id": "weir-history", "enable.partition.eof": True})
    try:
        ends = {(each.topic, each.partition): each.offset for each in committed}
        starts = []
        for topic, partition in ends:
            low, _ = watermarks(consumer, TopicPartition(topic, partition))
            starts.append(TopicPartition(topic, partition, low))
        consumer.assign(starts)
        intake.assign(starts)
        unread = {place for place, end in ends.items()}
        for each in starts:
            if each.offset >= ends[each.topic, each.partition]:
                unread.discard((each.topic, each.partition))
                intake.finish(each.topic, each.partition)
        while unread:
            messages = consumer.consume(_BATCH, _POLL_S)
            ours = []
            for message in messages:
                place = (message.topic(), message.partition())
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if place not in unread:
                    continue
                if error is None and message.offset() < ends[place]:
                    ours.append(message)
                else:
                    unread.discard(place)
                    consumer.incremental_unassign([TopicPartition(*place)])
            intake.feed(ours)
            for topic, partition in ends.keys() - unread:
                intake.finish(topic, partition)
            while work := intake.take(_BATCH):
                yield work
        while work := intake.take(_BATCH):
            yield work
    finally:
        consumer.close()
