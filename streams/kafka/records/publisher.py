"""A producer that tells of every record that did not arrive."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.base.errors import WeirError
from streams.kafka.client import KafkaSettings

_FULL_WAIT_S = 0.1
_FLUSH_S = 75.0
_MESSAGE_TIMEOUT_MS = 60_000


class PublishError(WeirError):
    """Kafka did not take a record; the message says which topic and why."""


class Publisher:
    """An idempotent producer: records keep their order per partition, and none is lost in silence.

    Keys choose partitions as Kafka's own Java clients do. A context manager: on an error, what
    still waits is given up.

    Raises:
        PublishError: the settings make no producer. So does every method once a record is known
            not to have arrived.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._failure: str | None = None
        config = kafka.producer_config(
            partitioner="murmur2_random",
            delivery_report_only_error=True,
            # It must end while `flush` still listens, or nobody would learn the reason.
            message_timeout_ms=_MESSAGE_TIMEOUT_MS,
        )
        try:
            self._producer = Producer(
                config | {"on_delivery": self._on_delivery, "error_cb": self._on_error}
            )
        except KafkaException as error:
            raise PublishError(f"[kafka]: {error.args[0].str()}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._producer.purge()
        self._producer.close()

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: str | bytes | None = None,
        partition: int = -1,
        headers: Sequence[tuple[str, str | bytes | None]] | None = None,
    ) -> None:
        """Queue a record; partition -1 leaves the choice to its key. Waits where the queue is full.

        Raises:
            PublishError: Kafka takes no such record, or lost an earlier one.
        """
        while True:
            try:
                if headers is None:
                    self._producer.produce(topic, value, key, partition)
                else:
                    self._producer.produce(topic, value, key, partition, headers=headers)
                return
            except BufferError:
                self.poll(_FULL_WAIT_S)
            except KafkaException as error:
                raise PublishError(f"topic {topic!r}: {error.args[0].str()}") from error

    def poll(self, timeout_s: float = 0.0) -> None:
        """Learn what became of records.

        Raises:
            PublishError: one did not arrive.
        """
        self._producer.poll(timeout_s)
        if self._failure is not None:
            raise PublishError(self._failure)

    def flush(self, patience_s: float = _FLUSH_S) -> None:
        """Wait until every record has arrived.

        Raises:
            PublishError: one did not.
        """
        waiting = self._producer.flush(patience_s)
        self.poll()
        if waiting:
            raise PublishError(f"Kafka did not acknowledge {waiting:,} records: is it overloaded?")

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failure is None:
            self._failure = f"topic {message.topic()!r}: a record did not arrive: {error.str()}"

    def _on_error(self, error: Any) -> None:
        if error.fatal() and self._failure is None:
            self._failure = f"Kafka: {error.str()}"
