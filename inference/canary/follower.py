"""Reads the feature log from a moment on, all partitions, and goes on with what comes."""

from collections.abc import Callable

import pyarrow as pa
from confluent_kafka import TopicPartition

from streams.feature_log import read_feature_log
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import bounds_of, note_errors, read_ready

_BATCH = 1_000
_ANSWER_S = 15.0


class FeatureLogFollower:
    """Joins no group and commits nothing: the next one reads all since the moment again.

    Args:
        since: records that were written from here on, UTC milliseconds.

    Attributes:
        unreadable: records that are no feature log.

    Raises:
        ValueError: there is no such topic.
        KafkaException: the cluster failed.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, since: int) -> None:
        self.unreadable = 0
        self._consumer = PassingConsumer(
            kafka.consumer_config(group_id="weir-reader", allow_auto_create_topics=False)
        )
        try:
            bounds = bounds_of(self._consumer, topic, kafka.who)
            asked = [TopicPartition(topic, partition, since) for partition in bounds]
            found = self._consumer.offsets_for_times(asked, _ANSWER_S)
            self._consumer.assign(
                [
                    # None was written since: whatever comes is.
                    place
                    if place.offset >= 0
                    else TopicPartition(topic, place.partition, bounds[place.partition][1])
                    for place in found
                ]
            )
        except BaseException:
            self._consumer.close()
            raise

    def read(self, timeout_s: float, take: Callable[[int, pa.Table], None]) -> int:
        """Hand on what has come, as (partition, table); how many records."""
        messages = read_ready(self._consumer, _BATCH, timeout_s)
        note_errors(messages)
        for message in messages:
            if message.error() is not None or isinstance(message, BadBatch):
                continue
            try:
                table = read_feature_log(message.value() or b"")
            except ValueError:
                self.unreadable += 1
                continue
            take(message.partition(), table)
        return len(messages)

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()
