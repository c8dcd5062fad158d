"""The rows of an entity stage that wait to be merged, in a queue per source partition."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from streams.intake.partition_queue import ARRIVED, OFFSET, TIME, PartitionQueue
from streams.intake.position import NO_TIME
from streams.intake.time_merge import MergedRecords, TimeMerge
from streams.stages.common.consumed_rows import ConsumedRows, QueueKey
from streams.stages.common.messages import SourceProgress
from streams.stages.common.record_queue import RecordQueue


class WaitingRows:
    """Rows that wait, and which records of the log they came in.

    Args:
        sources: the source partitions; merged records' `queues` count in this order.
        alignment: decides which row is next.
    """

    def __init__(self, sources: Iterable[QueueKey], alignment: TimeMerge) -> None:
        self.queues = {key: new_queue(key) for key in sources}
        self._merge = alignment
        self._merge.set_queues(self.queues.values())
        self._records = {key: RecordQueue() for key in self.queues}
        self._last: list[_Removed] = []

    def __len__(self) -> int:
        return self._merge.waiting

    def add(self, key: QueueKey, offset: int, rows: list[Any], progress: SourceProgress) -> None:
        """Queue rows of the record at `offset`."""
        add_rows(self.queues[key], rows, progress)
        self._records[key].add(offset, len(rows))

    def take(self, limit: int) -> MergedRecords | None:
        """Take up to `limit` rows that are due, or None if there are none."""
        before = {key: _Waiting.of(queue, limit) for key, queue in self.queues.items()}
        merged = self._merge.take(limit)
        if merged is None:
            return None
        for key, waiting in before.items():
            taken = waiting.total - len(self.queues[key].items)
            self._last.append(_Removed(key, waiting, taken, self._records[key].take(taken)))
        return merged

    def commit(self) -> None:
        """What was taken last does not come back."""
        self._last = []

    def rollback(self) -> None:
        """Put back what was taken last."""
        for key, waiting, taken, records in self._last:
            self.queues[key].put_back(
                waiting.items[:taken], waiting.numbers[:, :taken], waiting.merge_times[:taken]
            )
            self._records[key].put_back(records)
        self._last = []

    def taken(self, next_offset: int) -> ConsumedRows:
        """What was taken so far of a log that was read up to `next_offset`."""
        waiting = {key: queue.position for key, queue in self.queues.items() if queue.items}
        firsts = [self._records[key].first for key in waiting]
        first = min((offset for offset in firsts if offset is not None), default=next_offset)
        return ConsumedRows(first, next_offset, waiting)


class _Waiting(NamedTuple):
    """What stood at the front of a queue, and how much in all."""

    items: list[Any]
    numbers: NDArray[np.int64]
    merge_times: NDArray[np.int64]
    total: int

    @classmethod
    def of(cls, queue: PartitionQueue, limit: int) -> Self:
        return cls(
            queue.items[:limit],
            queue.numbers[:, :limit],
            queue.merge_times[:limit],
            len(queue.items),
        )


class _Removed(NamedTuple):
    """What was taken of a queue: the first of those that waited."""

    queue: QueueKey
    waiting: _Waiting
    taken: int
    records: list[tuple[int, int]]


def new_queue(key: QueueKey) -> PartitionQueue:
    """An empty queue."""
    is_event, partition = key
    return PartitionQueue("events" if is_event else "labels", partition, is_event, 0)


def add_rows(queue: PartitionQueue, rows: list[Any], progress: SourceProgress) -> None:
    """Queue rows by the merge times that their router gave them, and note how far it has come."""
    numbers = np.empty((3, len(rows)), np.int64)
    numbers[OFFSET] = [row.offset for row in rows]
    merge_times = np.array([row.merge_time for row in rows], np.int64)
    if queue.is_event:
        numbers[TIME] = [row.time for row in rows]
        numbers[ARRIVED] = [row.arrived for row in rows]
    else:
        numbers[TIME], numbers[ARRIVED] = merge_times, 0
    queue.add(rows, numbers, progress.next_offset, merge_times)
    if progress.reached != NO_TIME:
        queue.completed_to(progress.reached - 1)
