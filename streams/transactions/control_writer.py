"""Commands on the control topic, one writer at a time; `ControlReader` reads them."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Self
from warnings import catch_warnings, simplefilter

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.kafka.authorization import is_denial
from streams.kafka.client import KafkaSettings
from streams.kafka.records.publisher import PublishError
from streams.transactions.errors import FencedError
from streams.transactions.patience import patiently

_TRANSACTION_MS = 10_000
"""So long readers may have to wait for what comes behind a command whose writer was killed."""
_PATIENCE_S = 30.0
_ABORT_S = 5.0


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
        self._producer = Producer(
            kafka.producer_config(
                transactional_id=f"{topic}-commands",
                transaction_timeout_ms=_TRANSACTION_MS,
                partitioner="murmur2_random",
                linger_ms=0,
            )
        )
        try:
            patiently(self._producer.init_transactions, _PATIENCE_S)
        except BaseException:
            self._producer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with catch_warnings():
            simplefilter("ignore", RuntimeWarning)  # who is fenced off has nothing to abort
            self._producer.close()

    def write(
        self, key: str, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> tuple[int, int]:
        """Write a record; return its partition and offset when everybody can read it.

        Raises:
            FencedError: another writer was opened since; nothing was written.
            PublishError: the cluster did not take it, or did not say whether it did.
            KafkaException: the cluster does not let us.
        """
        places: list[tuple[int, int]] = []

        def note(error: KafkaError | None, message: Message) -> None:
            if error is None:
                places.append((message.partition(), message.offset()))

        try:
            self._producer.begin_transaction()
            self._producer.produce(self._topic, value, key, on_delivery=note, headers=list(headers))
            patiently(self._producer.commit_transaction, _PATIENCE_S)
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
