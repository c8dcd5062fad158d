"""The control topic: what shall hold from now on, by key; the latest record of a key counts.

Compacted, so that a process that starts reads what holds now. Nobody joins a group for it: every
process reads all of it.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, TopicPartition

from streams.denied import DeniedError, is_denial
from streams.kafka import KafkaSettings, watermarks
from streams.publisher import Publisher
from streams.reading import note_errors, read_ready
from streams.topics import TopicError

_BATCH = 1_000
_POLL_S = 0.5


@dataclass(frozen=True)
class ControlRecord:
    """A record of the control topic.

    Attributes:
        value: None where the key holds nothing any more.
    """

    key: str
    value: bytes | None
    partition: int
    offset: int

    @property
    def place(self) -> str:
        """Where it stands, for a message to a human."""
        return f"partition {self.partition}, offset {self.offset}"


class ControlReader:
    """Reads the control topic from its beginning, and then what comes.

    Raises:
        DeniedError: we may not read it.
        TopicError: it is not there.
        KafkaException: the cluster failed.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._consumer = Consumer(
            kafka.consumer_config(group_id="weir-control", allow_auto_create_topics=False)
        )
        metadata = self._consumer.list_topics(topic, timeout=15).topics[topic]
        if metadata.error is not None:
            self._consumer.close()
            if is_denial(metadata.error):
                raise DeniedError([f"Read on topic {topic!r}"], kafka.who)
            raise TopicError(f"there is no topic {topic!r}: make it with `weir topics`")
        partitions = metadata.partitions
        self._unread = {}
        for partition in partitions:
            low, high = watermarks(self._consumer, TopicPartition(topic, partition))
            if high > low:
                self._unread[partition] = high
        self._consumer.assign([TopicPartition(topic, each, 0) for each in partitions])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    def read(self, timeout_s: float) -> list[ControlRecord]:
        """Records that have come since, ascending in offset; waits for the first one."""
        messages = read_ready(self._consumer, _BATCH, timeout_s)
        note_errors(messages)
        records = []
        for message in messages:
            partition, error = message.partition(), message.error()
            if error is None:
                key = (message.key() or b"").decode(errors="replace")
                records.append(ControlRecord(key, message.value(), partition, message.offset()))
            # The end may be a marker that no consumer sees: then only EOF tells.
            ended = error is not None and error.code() == KafkaError._PARTITION_EOF
            if ended or (error is None and message.offset() >= self._unread.get(partition, 0) - 1):
                self._unread.pop(partition, None)
        return records

    def read_to_end(self) -> dict[str, ControlRecord]:
        """The latest record of each key, of those that stood there when reading began."""
        latest: dict[str, ControlRecord] = {}
        while self._unread:
            for record in self.read(_POLL_S):
                latest[record.key] = record
        return latest


def read_control(kafka: KafkaSettings, topic: str) -> dict[str, ControlRecord]:
    """The latest record of each key, as of now."""
    with ControlReader(kafka, topic) as reader:
        return reader.read_to_end()


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
