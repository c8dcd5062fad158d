"""Reads the feature log from a moment on, all partitions, and goes on with what comes."""

from collections.abc import Callable

import pyarrow as pa
from confluent_kafka import TopicPartition

from streams.feature_log import read_feature_log
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import bounds_of, is_end, note_errors, read_ready

_BATCH = 100
"""Records, which hold thousands of events each."""
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
            # Of a partition in which none was written since, whatever comes is.
            begins = {
                each.partition: each.offset if each.offset >= 0 else bounds[each.partition][1]
                for each in found
            }
            self._consumer.assign([TopicPartition(topic, *place) for place in begins.items()])
            self._unread = {each: high for each, (_, high) in bounds.items() if begins[each] < high}
        except BaseException:
            self._consumer.close()
            raise

    @property
    def caught_up(self) -> bool:
        """Whether all has been read that stood there at the beginning."""
        return not self._unread

    def read(self, timeout_s: float, take: Callable[[int, pa.Table], None]) -> int:
        """Hand on what has come, as (partition, table); how many records."""
        messages = read_ready(self._consumer, _BATCH, timeout_s)
        note_errors(messages)
        for message in messages:
            partition = message.partition()
            # The end may be a marker that no consumer sees: then only EOF tells.
            last = self._unread.get(partition, 0) - 1
            if is_end(message) or (message.error() is None and message.offset() >= last):
                self._unread.pop(partition, None)
            if message.error() is not None or isinstance(message, BadBatch):
                continue
            try:
                table = read_feature_log(message.value() or b"")
            except ValueError:
                self.unreadable += 1
                continue
            take(partition, table)
        return len(messages)

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()
