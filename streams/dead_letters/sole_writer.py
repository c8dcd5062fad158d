"""The one who sends dead letters, or writes them again: it fences off the one before it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic, sleep

from confluent_kafka import IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.base.errors import WeirError
from streams.dead_letters.reader import DeadLetterReader, StoredDeadLetter
from streams.kafka.topics.topic_partitions import partitions_of
from streams.transactions.patience import patiently

TRANSACTION_MS = 15_000
"""So long readers of the target may have to wait if we die in the midst of one."""
PATIENCE_S = 2 * TRANSACTION_MS / 1_000

_LETTERS = 500
_BYTES = 8_000_000
_ABORT_S = 5.0
_SETTLED_WITHIN_S = 120.0
_AGAIN_S = 0.2
_ANSWER_S = 30.0


class UnsettledError(WeirError, ValueError):
    """Somebody's transaction in the dead letters does not end."""


@contextmanager
def sole_writer(box: DeadLetterReader, admin: AdminClient) -> Iterator[Producer]:
    """A producer for transactions, once nobody else moves letters, and all that was can be read.

    Raises:
        UnsettledError: an open transaction does not end; nothing was done.
        KafkaException: the cluster failed, or does not let us.
    """
    producer = Producer(
        box.kafka.producer_config(
            transactional_id=f"{box.topic}-requeue",
            transaction_timeout_ms=TRANSACTION_MS,
            partitioner="murmur2_random",
        )
    )
    try:
        patiently(producer.init_transactions, PATIENCE_S)
        # Only now: what the predecessor has committed can be read, and it commits no more.
        partitions = partitions_of(admin, [box.topic]).get(box.topic, 0)
        if not _settled(admin, box.topic, partitions):
            raise UnsettledError(
                f"a transaction in {box.topic!r} does not end: see whether scorers and brokers are "
                "well; nothing was done"
            )
        yield producer
    finally:
        producer.close()


def abort(producer: Producer) -> None:
    """Give a transaction up: its readers would otherwise wait until it times out."""
    with suppress(KafkaException):
        producer.abort_transaction(_ABORT_S)


def batches(letters: Iterable[StoredDeadLetter]) -> Iterator[list[StoredDeadLetter]]:
    """Letters for one transaction each."""
    batch: list[StoredDeadLetter] = []
    size = 0
    for stored in letters:
        batch.append(stored)
        size += len(stored.letter.value or b"")
        if len(batch) == _LETTERS or size > _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _settled(admin: AdminClient, topic: str, partitions: int) -> bool:
    """Wait for the end of every transaction that is open now; False if one does not end.

    An open transaction of a scorer hides what stands behind it, and that may be a mark.
    """
    places = [TopicPartition(topic, each) for each in range(partitions)]
    ends = _ends(admin, places, IsolationLevel.READ_UNCOMMITTED)
    deadline = monotonic() + _SETTLED_WITHIN_S
    while True:
        settled = _ends(admin, places, IsolationLevel.READ_COMMITTED)
        if all(settled[partition] >= end for partition, end in ends.items()):
            return True
        if monotonic() > deadline:
            return False
        sleep(_AGAIN_S)


def _ends(
    admin: AdminClient, places: Sequence[TopicPartition], isolation: IsolationLevel
) -> dict[int, int]:
    asked = {place: OffsetSpec.latest() for place in places}
    answers = admin.list_offsets(asked, isolation_level=isolation) if asked else {}
    return {place.partition: answer.result(_ANSWER_S).offset for place, answer in answers.items()}
