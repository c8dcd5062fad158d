"""Finding out where a batch ends that can't be read, with a consumer apart.

The client's error names the first offset of a batch only. A fetch that begins anywhere in a batch
gets all of it, and so the same error: a search over offsets finds where it does not any more.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.kafka.batches.bad_batch import UNREADABLE

_PATIENCE_S = 10.0
_POLL_S = 0.2

_FRUGAL = {
    "group.id": "weir-prober",
    "client.id": "weir-prober",
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    # What counts is to which batch an offset belongs. That a look can't read some that others can
    # does no harm, and a small bound makes it quick: 6 ms in place of 150 for a batch that unpacks
    # to 230 MB. It must hold the largest batch as it is sent, which in Weir's topics is 16 MiB.
    "receive.message.max.bytes": 33_554_432,
    "fetch.max.bytes": 1_048_576,
    "fetch.message.max.bytes": 1_048_576,
    "queued.min.messages": 1,
    "fetch.queue.backoff.ms": 1,
    "fetch.wait.max.ms": 10,
}
_NOT_OURS = (
    "error_cb",
    "group.instance.id",
    "group.protocol",
    "heartbeat.interval.ms",
    "logger",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "message.max.bytes",
    "partition.assignment.strategy",
    "session.timeout.ms",
)
_NOTHING_THERE = {
    KafkaError._PARTITION_EOF,
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
}


class BatchProber:
    """Looks at offsets; joins no group.

    Args:
        config: of the consumer that could not read a batch.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        own = {name: value for name, value in config.items() if name not in _NOT_OURS}
        self._consumer: Any = Consumer(own | {"log_level": 0} | _FRUGAL)

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    def last_offset(self, topic: str, partition: int, first: int) -> int:
        """The last offset of the bad batch that begins at `first`.

        Raises:
            KafkaException: the cluster does not say; it may be asked again.
        """
        inside, step = first, 1
        while self._is_of(topic, partition, first, first + step):
            inside, step = first + step, 2 * step
        behind = first + step
        while behind - inside > 1:
            middle = (inside + behind) // 2
            if self._is_of(topic, partition, first, middle):
                inside = middle
            else:
                behind = middle
        return inside

    def _is_of(self, topic: str, partition: int, first: int, offset: int) -> bool:
        """Whether the record at `offset` is one of the bad batch that begins at `first`."""
        self._consumer.assign([TopicPartition(topic, partition, offset)])
        try:
            deadline = monotonic() + _PATIENCE_S
            failure = KafkaError(KafkaError._TIMED_OUT)
            while monotonic() < deadline:
                for message in self._consumer.consume(1, _POLL_S):
                    error = message.error()
                    if error is None or error.code() in _NOTHING_THERE:
                        return False
                    if error.code() in UNREADABLE:
                        # Another bad batch may follow, and has another first offset.
                        return bool(message.offset() == first)
                    failure = error
        finally:
            self._consumer.unassign()
        raise KafkaException(failure)
