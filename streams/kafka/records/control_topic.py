"""The control topic: what shall hold from now on, by key; the latest record of a key counts.

Compacted, so that a process that starts reads what holds now. Nobody joins a group for it: every
process reads all of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import TopicPartition

from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings
from streams.kafka.message import headers_of
from streams.kafka.records.consuming import bounds_of, is_end, note_errors, read_ready
from streams.kafka.records.publisher import Publisher

_BATCH = 1_000
_POLL_S = 0.5


@dataclass(frozen=True)
class ControlRecord:
    """A record of the control topic.

    Attributes:
        value: None where the key holds nothing any more.
        headers: such as its signature; none where they can't be read.
    """

    key: str
    value: bytes | None
    partition: int
    offset: int
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def place(self) -> str:
        """Where it stands, for a message to a human."""
        return f"partition {self.partition}, offset {self.offset}"


class ControlReader:
    """Reads the control topic from its beginning, and then what comes.

    Raises:
        AuthorizationError: we may not read it.
        ValueError: it is not there.
        KafkaException: the cluster failed.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._consumer = PassingConsumer(
            kafka.consumer_config(group_id="weir-control", allow_auto_create_topics=False)
        )
        try:
            bounds = bounds_of(self._consumer, topic, kafka.who)
        except BaseException:
            self._consumer.close()
            raise
        self._unread = {each: high for each, (low, high) in bounds.items() if high > low}
        self._consumer.assign(
            [TopicPartition(topic, each, low) for each, (low, _) in bounds.items()]
        )

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    @property
    def at_end(self) -> bool:
        """Whether all has been read that stood there when reading began."""
        return not self._unread

    def read(self, timeout_s: float) -> list[ControlRecord]:
        """Records that have come since, ascending in offset; waits for the first one."""
        messages = read_ready(self._consumer, _BATCH, timeout_s)
        note_errors(messages)
        records = []
        for message in messages:
            partition, error = message.partition(), message.error()
            if error is None and not isinstance(message, BadBatch):
                key = (message.key() or b"").decode(errors="replace")
                headers = tuple((name, value or b"") for name, value in headers_of(message) or ())
                place = (partition, message.offset())
                records.append(ControlRecord(key, message.value(), *place, headers))
            # The end may be a marker that no consumer sees: then only EOF tells.
            last = self._unread.get(partition, 0) - 1
            if is_end(message) or (error is None and message.offset() >= last):
                self._unread.pop(partition, None)
        return records

    def read_to_end(
        self, counts: Callable[[ControlRecord], bool] = lambda record: True
    ) -> dict[str, ControlRecord]:
        """The latest record of each key, of those that stood there when reading began.

        Args:
            counts: asked for each record in the topic's order; one that does not count is as if
                it had never been written.
        """
        latest: dict[str, ControlRecord] = {}
        while not self.at_end:
            latest |= {record.key: record for record in self.read(_POLL_S) if counts(record)}
        return latest


class ControlFollower:
    """Reads a control topic bit by bit, for whoever looks now and then.

    Args:
        hear: told of each record, in the topic's order.
    """

    def __init__(
        self, kafka: KafkaSettings, topic: str, hear: Callable[[ControlRecord], object]
    ) -> None:
        self._kafka, self._topic, self._hear = kafka, topic, hear
        self._reader: ControlReader | None = None

    def close(self) -> None:
        """Leave the cluster."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def look(self) -> None:
        """Read what has come since; at first, all that stands there.

        Raises:
            AuthorizationError, ValueError, KafkaException: see `ControlReader`.
        """
        if self._reader is None:
            self._reader = ControlReader(self._kafka, self._topic)
        while not self._reader.at_end:
            self._tell(self._reader.read(_POLL_S))
        self._tell(self._reader.read(0.0))

    def _tell(self, records: list[ControlRecord]) -> None:
        for record in records:
            self._hear(record)


def write_control(
    kafka: KafkaSettings, topic: str, key: str, value: bytes | None, patience_s: float = 60.0
) -> None:
    """Say what holds from now on; returns when the cluster has it.

    Raises:
        PublishError: the cluster did not take it.
    """
    with Publisher(kafka) as publisher:
        publisher.send(topic, value, key)
        publisher.flush(patience_s)
