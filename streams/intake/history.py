"""Reading again what was already answered, to rebuild state after a start or a failure."""

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from time import sleep
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from streams.intake.input_batch import InputBatch
from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.records.consuming import is_end, read_ready

logger = logging.getLogger(__name__)

_BATCH = 10_000
_POLL_S = 0.2


def read_history(
    config: dict[str, Any],
    intake: Intake,
    begins: Sequence[Position],
    ends: Mapping[tuple[str, int], int],
    go_on: Callable[[], bool] = lambda: True,
) -> Generator[InputBatch, None, None]:
    """Yield all work between the begins and the ends, in the order of event time.

    Args:
        config: settings of a consumer; it joins no group and commits nothing.
        intake: an intake of its own; its partitions are set here.
        begins: where to begin in each partition.
        ends: for each partition the offset at which new work begins.
        go_on: asked again and again; False ends the reading early.

    Raises:
        KafkaException: the cluster failed for longer than the client is willing to wait.
    """
    consumer = PassingConsumer(config | {"group.id": "weir-history", "enable.partition.eof": True})
    try:
        intake.assign(begins)
        unread = set()
        for each in begins:
            if each.offset < ends[each.place]:
                unread.add(each.place)
            else:
                intake.finish(*each.place)
        consumer.assign(
            [TopicPartition(*each.place, each.offset) for each in begins if each.place in unread]
        )
        while unread and go_on():
            messages = read_ready(consumer, _BATCH, _POLL_S)
            ours = []
            for message in messages:
                place = (message.topic(), message.partition())
                error = message.error()
                if error is not None and not is_end(message):
                    raise KafkaException(error)
                if place not in unread:
                    continue
                if error is None and message.offset() < ends[place]:
                    ours.append(message)
                else:
                    unread.discard(place)
                    consumer.incremental_unassign([TopicPartition(*place)])
            intake.feed(ours)
            while intake.holding and go_on():
                sleep(_POLL_S)  # state is complete or it is nothing, so all wait
                intake.feed([])
            for topic, partition in ends.keys() - unread:
                intake.finish(topic, partition)
            while work := intake.take(_BATCH):
                yield work
        while work := intake.take(_BATCH):
            yield work
    finally:
        consumer.close()
