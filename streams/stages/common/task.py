"""What a worker does with one partition, whatever stage it is of."""

from collections.abc import Sequence
from typing import Protocol

from confluent_kafka import Message

from streams.features.state import FeatureState
from streams.kafka.batches.bad_batch import BadBatch
from streams.stages.common.stateful_stage import StatefulStage
from streams.stages.common.step import StagePosition, Step


class StageTask(Protocol):
    """One partition's part of the work; its state is a function of what was committed for it.

    Attributes:
        stage: what the time is spent on that it takes; None: it tells of that by itself.
    """

    stage: str | None

    def begin(self, position: StagePosition | None) -> None:
        """Forget everything, and go on where this was committed; None for nowhere yet.

        Raises:
            MessageError: it was committed by another program.
        """

    @property
    def next_offset(self) -> int:
        """Of the first record that was not fed, behind which it is to be fed."""

    @property
    def waiting(self) -> int:
        """How many records are queued."""

    @property
    def oldest(self) -> int | None:
        """Merge time of the first row that is queued; None if none is, or it waits for no other."""

    def most_queued(self, is_event: bool) -> int:
        """How many rows of one source of events, or of labels, wait for others, where most do."""

    @property
    def ready(self) -> bool:
        """Whether the state is complete."""

    @property
    def states(self) -> list[FeatureState]:
        """Windows that it keeps."""

    @property
    def nbytes(self) -> int:
        """Memory of its state in bytes."""

    @property
    def stateful(self) -> StatefulStage | None:
        """What keeps windows that have to be restored; None: reading goes on where it ended."""

    def feed(self, messages: Sequence[Message]) -> None:
        """Queue what was read; one with an error is the partition's present end.

        Raises:
            MessageError: a record between the stages can't be read.
        """

    def take(self, limit: int) -> Step | None:
        """What up to `limit` records come to, or None if nothing is to be said.

        To be followed by `commit` or `rollback` before it is asked again, if it was something.
        """

    def rest(self) -> Step | None:
        """Where reading goes on, if nothing waits and that was not said yet; else None.

        Asked where `take` has given nothing for a while, and followed by `commit` or `rollback` as
        it is. Behind a transaction's last record stands a marker, which nobody sees, and which
        would count as lag for ever.
        """

    def commit(self) -> None:
        """What was taken last is committed."""

    def rollback(self) -> None:
        """Put back what was taken last: nothing of it was committed."""


def records_and_end(
    messages: Sequence[Message],
) -> tuple[list[tuple[int, bytes | None]], int | None]:
    """Offset and value of each record, and where the partition ends if that comes last.

    A batch that can't be read is passed as such an end is: see `PassedBatches`.
    """
    records: list[tuple[int, bytes | None]] = []
    end = None
    for message in messages:
        offset = message.offset() or 0
        if isinstance(message, BadBatch):
            end = message.next_offset
        elif message.error() is None:
            records.append((offset, message.value()))
            end = None
        else:
            end = offset
    return records, end
