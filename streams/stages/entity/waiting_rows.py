"""The rows of an entity stage that wait for their turn, in a lane per source partition."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from streams.intake.partition_queue import ARRIVED, OFFSET, TIME, Lane
from streams.intake.position import NO_TIME
from streams.intake.time_merge import Alignment, Turn
from streams.stages.common.consumed_rows import LaneKey, Taken
from streams.stages.common.messages import Mark
from streams.stages.common.record_queue import RecordQueue


class WaitingRows:
    """Rows that wait, and which records of the log they came in.

    Args:
        sources: the source partitions; a turn's `lanes` count in this order.
        alignment: decides whose turn it is.
    """

    def __init__(self, sources: Iterable[LaneKey], alignment: Alignment) -> None:
        self.lanes = {key: new_lane(key) for key in sources}
        self._alignment = alignment
        self._alignment.set_lanes(self.lanes.values())
        self._records = {key: RecordQueue() for key in self.lanes}
        self._last: list[_Removed] = []

    def __len__(self) -> int:
        return self._alignment.waiting

    def add(self, key: LaneKey, offset: int, rows: list[Any], mark: Mark) -> None:
        """Queue rows of the record at `offset`."""
        add_rows(self.lanes[key], rows, mark)
        self._records[key].add(offset, len(rows))

    def take(self, limit: int) -> Turn | None:
        """Take up to `limit` rows whose turn has come, or None if there are none."""
        before = {key: _Waiting.of(lane, limit) for key, lane in self.lanes.items()}
        turn = self._alignment.take(limit)
        if turn is None:
            return None
        for key, waiting in before.items():
            taken = waiting.total - len(self.lanes[key].items)
            self._last.append(_Removed(key, waiting, taken, self._records[key].take(taken)))
        return turn

    def release(self) -> None:
        """What was taken last does not come back."""
        self._last = []

    def undo(self) -> None:
        """Put back what was taken last."""
        for key, waiting, taken, records in self._last:
            self.lanes[key].put_back(
                waiting.items[:taken], waiting.numbers[:, :taken], waiting.turns[:taken]
            )
            self._records[key].put_back(records)
        self._last = []

    def taken(self, next_offset: int) -> Taken:
        """What was taken so far of a log that was read up to `next_offset`."""
        waiting = {key: lane.position for key, lane in self.lanes.items() if lane.items}
        firsts = [self._records[key].first for key in waiting]
        first = min((offset for offset in firsts if offset is not None), default=next_offset)
        return Taken(first, next_offset, waiting)


class _Waiting(NamedTuple):
    """What stood at the front of a lane, and how much in all."""

    items: list[Any]
    numbers: NDArray[np.int64]
    turns: NDArray[np.int64]
    total: int

    @classmethod
    def of(cls, lane: Lane, limit: int) -> Self:
        return cls(lane.items[:limit], lane.numbers[:, :limit], lane.turns[:limit], len(lane.items))


class _Removed(NamedTuple):
    """What was taken of a lane: the first of those that waited."""

    lane: LaneKey
    waiting: _Waiting
    taken: int
    records: list[tuple[int, int]]


def new_lane(key: LaneKey) -> Lane:
    """An empty lane."""
    is_event, partition = key
    return Lane("events" if is_event else "labels", partition, is_event, 0)


def add_rows(lane: Lane, rows: list[Any], mark: Mark) -> None:
    """Queue rows by the turns that their router gave them, and note how far it has come."""
    numbers = np.empty((3, len(rows)), np.int64)
    numbers[OFFSET] = [row.offset for row in rows]
    turns = np.array([row.turn for row in rows], np.int64)
    if lane.is_event:
        numbers[TIME] = [row.time for row in rows]
        numbers[ARRIVED] = [row.arrived for row in rows]
    else:
        numbers[TIME], numbers[ARRIVED] = turns, 0
    lane.add(rows, numbers, mark.next_offset, turns)
    if mark.reached != NO_TIME:
        lane.completed_to(mark.reached - 1)
