"""Reading a group's log of positions as it grows."""

import logging
from collections.abc import Mapping
from threading import Lock
from time import monotonic
from typing import NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings
from streams.kafka.partition import PartitionId
from streams.kafka.records.consuming import bounds_of, is_end, read_ready
from streams.transactions.position_log import LoggedPosition

logger = logging.getLogger(__name__)

_DECODER = msgspec.json.Decoder(LoggedPosition)
_BATCH = 10_000
_POLL_S = 0.1
_WAIT_S = 2.0
_FORGOTTEN_S = 30.0
"""Who has not asked for so long does not know that it is the same transaction still."""


class _Hidden(NamedTuple):
    """Where reading has stuck, since when, and when that was seen last."""

    at: dict[int, int]
    since: float
    seen: float


class PositionReader:
    """Knows what a group has committed last, by its log; reads each record of that once.

    Any thread may read. A client is made for each reading: between them there is nothing to fetch.

    Args:
        topic: of the log.
        longest_transaction_s: a transaction that is open hides what others committed after it had
            begun. For so long a reading waits for its end; a longer one hangs, and does not end.
    """

    def __init__(
        self, kafka: KafkaSettings, topic: str, group: str, longest_transaction_s: float
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._group = group
        self._longest_s = longest_transaction_s
        self._lock = Lock()
        self._found: dict[PartitionId, LoggedPosition] = {}
        self._next: dict[int, int] = {}
        self._complete_at = 0.0
        self._failed: tuple[float, KafkaException] | None = None
        self._hidden: _Hidden | None = None

    @property
    def hidden(self) -> bool:
        """Whether a transaction that hangs hides some of what was committed, when it was read."""
        return self._hidden is not None

    def read(self, since: float) -> Mapping[PartitionId, LoggedPosition]:
        """All that was committed by `since`, seconds of `monotonic`. Other records are passed over.

        Raises:
            ValueError: there is no such topic.
            AuthorizationError: we may not read it.
            KafkaException: the cluster failed, or a transaction is open; asking again helps.
        """
        asked = monotonic()
        with self._lock:
            if self._failed is not None and self._failed[0] >= asked:
                raise self._failed[1]  # of who asked before us: we would wait as long in vain
            if since >= self._complete_at:
                began = monotonic()
                try:
                    self._advance()
                except KafkaException as error:
                    self._failed = monotonic(), error
                    raise
                self._complete_at = began
            return self._found

    def _advance(self) -> None:
        unread = self._unread()
        if not unread:
            self._hidden = None
            return
        consumer = PassingConsumer(self._kafka.consumer_config(group_id="weir-reader"))
        try:
            places = [TopicPartition(self._topic, each, self._next[each]) for each in unread]
            consumer.assign(places)
            deadline = monotonic() + _WAIT_S
            while unread:
                messages = read_ready(consumer, _BATCH, _POLL_S)
                for message in messages:
                    self._take(message)
                unread = {each: end for each, end in unread.items() if self._next[each] < end}
                if not all(is_end(message) for message in messages):
                    deadline = monotonic() + _WAIT_S
                elif unread and monotonic() > deadline:
                    self._check_patience()
                    return
        finally:
            consumer.close()
        self._hidden = None

    def _unread(self) -> dict[int, int]:
        """Where partitions end that have more than was read, open transactions included."""
        config = self._kafka.consumer_config(
            group_id="weir-reader", isolation_level="read_uncommitted"
        )
        consumer = Consumer(config)
        try:
            bounds = bounds_of(consumer, self._topic, self._kafka.who)
        finally:
            consumer.close()
        if any(self._next.get(each, 0) > high for each, (_, high) in bounds.items()):
            self._next, self._found = {}, {}  # it was made anew
        for each, (low, _) in bounds.items():
            self._next[each] = max(self._next.get(each, 0), low)
        return {each: high for each, (_, high) in bounds.items() if self._next[each] < high}

    def _take(self, message: Message) -> None:
        partition, offset, error = message.partition(), message.offset(), message.error()
        if is_end(message):
            # Behind the last record may be a marker, which no consumer sees.
            self._next[partition] = max(self._next[partition], offset)
            return
        if error is not None:
            raise KafkaException(error)
        self._next[partition] = offset + 1
        try:
            logged = _DECODER.decode(message.value() or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if logged.group == self._group:
            self._found[logged.topic, logged.partition] = logged

    def _check_patience(self) -> None:
        """Complain of an open transaction; not for ever."""
        now = monotonic()
        before = self._hidden
        same = before is not None and before.at == self._next and now - before.seen < _FORGOTTEN_S
        since = before.since if before is not None and same else now
        self._hidden = _Hidden(dict(self._next), since, now)
        if now - since < self._longest_s:
            reason = f"a transaction is open in {self._topic}, and hides what others committed"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason))
        logger.warning(
            "a transaction in %s has been open for longer than any should: going on without what "
            "it hides, which is where others of the consumer group %s were last",
            self._topic,
            self._group,
        )
