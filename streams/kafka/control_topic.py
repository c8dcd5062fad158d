"""The control topic: what shall hold from now on, by key; the latest record of a key counts.

Compacted, so that a process that starts reads what holds now. Nobody joins a group for it: every
process reads all of it.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Self
from warnings import catch_warnings, simplefilter

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams.kafka.authorization import is_denial
from streams.kafka.client import KafkaSettings
from streams.kafka.consuming import bounds_of, is_end, note_errors, read_ready
from streams.kafka.publisher import Publisher, PublishError
from streams.transactions.errors import FencedError

logger = logging.getLogger(__name__)

_BATCH = 1_000
_POLL_S = 0.5
_TRANSACTION_MS = 10_000
"""So long readers may have to wait for what comes behind a command whose writer was killed."""
_PATIENCE_S = 30.0
_ABORT_S = 5.0


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
        AuthorizationError: we may not read it.
        ValueError: it is not there.
        KafkaException: the cluster failed.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._consumer = Consumer(
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
        while self._unread:
            latest |= {record.key: record for record in self.read(_POLL_S) if counts(record)}
        return latest


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


class ControlWriter:
    """Gives commands on the control topic, one writer at a time.

    Whoever opens one fences off the writer before: what that one has not committed by then, it
    never will. So what is read from the topic after the opening holds until `write`, or `write`
    fails: nobody else has given a command in between. Killed at any moment, a writer leaves a whole
    record or none. A context manager.

    Raises:
        KafkaException: the cluster does not let us, or does not answer in time.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._topic = topic
        self._producer: Any = Producer(
            kafka.producer_config(
                transactional_id=f"{topic}-commands",
                transaction_timeout_ms=_TRANSACTION_MS,
                partitioner="murmur2_random",
                linger_ms=0,
            ),
            logger=logger,
        )
        try:
            _patiently(self._producer.init_transactions)
        except BaseException:
            self._producer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with catch_warnings():
            simplefilter("ignore", RuntimeWarning)  # who is fenced off has nothing to abort
            self._producer.close()

    def write(self, key: str, value: bytes | None) -> tuple[int, int]:
        """Write a record; return its partition and offset when everybody can read it.

        Raises:
            FencedError: another writer was opened since; nothing was written.
            PublishError: the cluster did not take it, or did not say whether it did.
            KafkaException: the cluster does not let us.
        """
        places: list[tuple[int, int]] = []

        def note(error: KafkaError | None, message: Any) -> None:
            if error is None:
                places.append((message.partition(), message.offset()))

        try:
            self._producer.begin_transaction()
            self._producer.produce(self._topic, value, key, on_delivery=note)
            _patiently(self._producer.commit_transaction)
        except KafkaException as error:
            cause = error.args[0]
            if is_denial(cause):
                raise
            if cause.fatal():
                raise FencedError(
                    f"another command was given on {self._topic!r} at the same moment: this one "
                    "was not written"
                ) from error
            with suppress(KafkaException):
                self._producer.abort_transaction(_ABORT_S)
            raise PublishError(f"topic {self._topic!r}: {cause.str()}") from error
        return places[0]


def _patiently(call: Callable[[float], None]) -> None:
    """Call again while the client says that it may go better next time."""
    deadline = monotonic() + _PATIENCE_S
    while True:
        try:
            call(max(1.0, deadline - monotonic()))
            return
        except KafkaException as error:
            if not error.args[0].retriable() or monotonic() > deadline:
                raise
            logger.warning("trying again: %s", error.args[0].str())
