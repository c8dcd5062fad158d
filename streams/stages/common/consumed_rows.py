"""What an entity stage has taken of its partition's records: the metadata of its offset."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streams.stages.common.step import StagePosition, pack, unpack

QueueKey = tuple[bool, int]
"""Whether its rows are events, and the source partition."""


def number_of(key: QueueKey) -> int:
    """A queue as one number: 2 x partition, and 1 more for labels."""
    is_event, partition = key
    return 2 * partition + (not is_event)


def queue_of(number: int) -> QueueKey:
    """The queue that `number_of` made this of."""
    return not number % 2, number // 2


class _Metadata(msgspec.Struct, array_like=True):
    """What was taken of the records from the committed offset on.

    Attributes:
        read_to: behind the last record that was read, counted from the committed offset.
        queues: for each queue with rows that wait, the source offset before which all was taken.
    """

    read_to: int
    queues: dict[int, int]


class ConsumedRows:
    """Which rows were taken by the time that a position was committed.

    Attributes:
        first: offset of the first record with rows that were not.
        read_to: behind the last record of which any was taken.
    """

    def __init__(self, first: int, read_to: int, queues: Mapping[QueueKey, int]) -> None:
        self.first, self.read_to, self._queues = first, read_to, queues

    @classmethod
    def of(cls, position: StagePosition | None) -> "ConsumedRows":
        """What a committed position says; None for nothing.

        Raises:
            MessageError: it is not of an entity stage.
        """
        if position is None:
            return cls(0, 0, {})
        found = unpack(position.metadata, _Metadata)
        queues = {queue_of(number): offset for number, offset in found.queues.items()}
        return cls(position.offset, position.offset + found.read_to, queues)

    @property
    def position(self) -> StagePosition:
        """What has to be committed."""
        queues = {number_of(key): offset for key, offset in self._queues.items()}
        return StagePosition(self.first, pack(_Metadata(self.read_to - self.first, queues)))

    def count(self, offset: int, key: QueueKey, rows: Sequence[Any]) -> int:
        """How many of a record's rows were taken: the first ones.

        All are of a record before the first that waited, and of what was read behind it all that
        lie before the first row of their queue that waited.
        """
        if offset >= self.read_to:
            return 0
        if offset >= self.first and key in self._queues:
            return sum(row.offset < self._queues[key] for row in rows)
        return len(rows)
