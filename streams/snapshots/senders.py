"""How the records of a snapshot get to their topic."""

from contextlib import suppress
from typing import Any, Protocol

from confluent_kafka import KafkaException, Producer, TopicPartition

from streams.kafka.client import KafkaSettings

_TIMEOUT_S = 30.0
_LONGEST_MS = 900_000


class Sender(Protocol):
    """Carries one snapshot after another."""

    producer: Producer

    def begin(self) -> None:
        """Make ready for a snapshot's records.

        Raises:
            KafkaException: the cluster does not let us, or does not answer in time.
        """

    def complete(self, end: TopicPartition) -> None:
        """All records are there; `end` is behind the last.

        Raises:
            KafkaException: the snapshot must not be used.
        """

    def abandon(self) -> None:
        """The snapshot is given up."""


class PlainSender:
    """Records that stand as soon as they are sent."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.producer = Producer(kafka.producer_config(linger_ms=0))

    def begin(self) -> None:
        """See `Sender`."""

    def complete(self, end: TopicPartition) -> None:
        """See `Sender`."""

    def abandon(self) -> None:
        """See `Sender`."""


class MemberSender:
    """Records of one snapshot in a transaction that only a member of the group can commit.

    The transaction commits an offset of the snapshot topic for the group. The cluster refuses that
    where there was a rebalance since `member` was asked for: then the partition whose state this is
    may be another's by now. So of a worker that was away for long and comes back nothing remains,
    and compaction, which passes over what was aborted, keeps what its successor has written under
    the same keys.

    Args:
        transactional_id: nobody else's.
        timeout_ms: how long it may take; at most 15 minutes, Kafka's own limit by default.
        member: what the consumer says of its membership; from before the state was copied.
    """

    def __init__(
        self, kafka: KafkaSettings, transactional_id: str, timeout_ms: int, member: Any
    ) -> None:
        self._member = member
        self.producer = Producer(
            kafka.producer_config(
                transactional_id=transactional_id,
                transaction_timeout_ms=min(timeout_ms, _LONGEST_MS),
                linger_ms=0,
            )
        )

    def begin(self) -> None:
        """See `Sender`."""
        self.producer.init_transactions(_TIMEOUT_S)
        self.producer.begin_transaction()

    def complete(self, end: TopicPartition) -> None:
        """See `Sender`."""
        self.producer.send_offsets_to_transaction([end], self._member, _TIMEOUT_S)
        self.producer.commit_transaction(_TIMEOUT_S)

    def abandon(self) -> None:
        """See `Sender`."""
        with suppress(KafkaException):
            self.producer.abort_transaction(_TIMEOUT_S)
