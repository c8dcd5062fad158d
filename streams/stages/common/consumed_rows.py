"""What an entity stage has taken of its partition's records: the metadata of its offset."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streams.stages.common.step import StagePosition, pack, unpack

LaneKey = tuple[bool, int]
"""Whether its rows are events, and the source partition."""


def number_of(key: LaneKey) -> int:
    """A lane as one number: 2 x partition, and 1 more for labels."""
    is_event, partition = key
    return 2 * partition + (not is_event)


def lane_of(number: int) -> LaneKey:
    """The lane that `number_of` made this of."""
    return not number % 2, number // 2


class _Metadata(msgspec.Struct, array_like=True):
    """What was taken of the records from the committed offset on.

    Attributes:
        read_to: behind the last record that was read, counted from the committed offset.
        lanes: for each lane with rows that wait, the source offset before which all was taken.
    """

    read_to: int
    lanes: dict[int, int]


class Taken:
    """Which rows were taken by the time that a position was committed.

    Attributes:
        first: offset of the first record with rows that were not.
        read_to: behind the last record of which any was taken.
    """

    def __init__(self, first: int, read_to: int, lanes: Mapping[LaneKey, int]) -> None:
        self.first, self.read_to, self._lanes = first, read_to, lanes

    @classmethod
    def of(cls, position: StagePosition | None) -> "Taken":
        """What a committed position says; None for nothing.

        Raises:
            MessageError: it is not of an entity stage.
        """
        if position is None:
            return cls(0, 0, {})
        found = unpack(position.metadata, _Metadata)
        lanes = {lane_of(number): offset for number, offset in found.lanes.items()}
        return cls(position.offset, position.offset + found.read_to, lanes)

    @property
    def position(self) -> StagePosition:
        """What has to be committed."""
        lanes = {number_of(key): offset for key, offset in self._lanes.items()}
        return StagePosition(self.first, pack(_Metadata(self.read_to - self.first, lanes)))

    def count(self, offset: int, key: LaneKey, rows: Sequence[Any]) -> int:
        """How many of a record's rows were taken: the first ones.

        All are of a record before the first that waited, and of what was read behind it all that
        lie before the first row of their lane that waited.
        """
        if offset >= self.read_to:
            return 0
        if offset >= self.first and key in self._lanes:
            return sum(row.offset < self._lanes[key] for row in rows)
        return len(rows)
