"""A consumer that a batch of records can't stop."""

import logging
from collections.abc import Mapping
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from streams.kafka.batches.bad_batch import UNREADABLE, BadBatch
from streams.kafka.batches.prober import BatchProber

logger = logging.getLogger(__name__)

_ATTEMPTS = 3
_COMPLAIN_S = 10.0

PartitionId = tuple[str, int]


class PassingConsumer(Consumer):  # type: ignore[misc]
    """A consumer that hands out a `BadBatch` for one that can't be read, and goes on behind it.

    Kafka's client tries such a batch again for ever. Here it is passed when it has failed three
    times. Each is handed out once, or again to whoever seeks back.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._config = config
        self._prober: BatchProber | None = None
        self._failures: dict[PartitionId, tuple[int, int]] = {}
        self._complain_at = 0.0

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        """See `Consumer`."""
        messages: list[Message] = super().consume(num_messages, timeout)
        if not any(map(Message.error, messages)):
            return messages
        return self._with_bad_batches(messages)

    def close(self) -> None:
        """See `Consumer`."""
        if self._prober is not None:
            self._prober.close()
        super().close()

    def _with_bad_batches(self, messages: list[Message]) -> list[Message]:
        """The messages, with a bad batch in place of the error where one is to be passed.

        What came behind an error in its partition comes again: reading goes on elsewhere.
        """
        given: list[Message] = []
        stopped: set[PartitionId] = set()
        for message in messages:
            error, offset = message.error(), message.offset()
            place = (message.topic() or "", message.partition() or 0)
            if place in stopped:
                continue
            if error is None or error.code() not in UNREADABLE or offset is None or offset < 0:
                given.append(message)
                continue
            stopped.add(place)
            found = self._look(place, offset, error.str())
            next_offset = offset if found is None else found.next_offset
            if self._go_on_at(place, next_offset) and found is not None:
                given.append(found)
        return given

    def _look(self, place: PartitionId, first: int, said: str) -> BadBatch | None:
        """The batch that is to be passed; None if it is to be tried again."""
        failed_at, failures = self._failures.get(place, (-1, 0))
        failures = failures + 1 if failed_at == first else 1
        self._failures[place] = first, failures
        if failures < _ATTEMPTS:
            return None
        topic, partition = place
        try:
            self._prober = self._prober or BatchProber(self._config)
            last = self._prober.last_offset(topic, partition, first)
        except KafkaException as error:
            if monotonic() >= self._complain_at:
                self._complain_at = monotonic() + _COMPLAIN_S
                logger.warning(
                    "the batch at offset %d of %s[%d] can't be read, nor is it known yet where it "
                    "ends (%s): trying again. Kafka's client says: %s",
                    first,
                    topic,
                    partition,
                    error.args[0].str(),
                    said,
                )
            return None
        found = BadBatch(topic, partition, first, last, said)
        logger.error("%s[%d]: passing %s, which can't be read: %s", topic, partition, found, said)
        return found

    def _go_on_at(self, place: PartitionId, offset: int) -> bool:
        """Read on from there; False if the partition is gone."""
        try:
            self.seek(TopicPartition(*place, offset))
        except KafkaException:
            return False
        return True
