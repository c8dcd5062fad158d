"""Leaving repeats out of what was read, as if they had not been sent."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from confluent_kafka import TopicPartition
from numpy.typing import NDArray

from streams.dead_letters.letter import is_failed_one
from streams.events.record_batch import EventBatch
from streams.features.repeat_filter import RepeatFilter
from streams.intake.partition_queue import PartitionQueue
from streams.kafka.message import Message


def new_among(
    repeats: RepeatFilter,
    partition: int,
    events: EventBatch,
    offsets: NDArray[np.int64],
    messages: Sequence[Message],
    at: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Which of n events are to be answered, shape (n,); the others are repeats.

    A dead letter that was sent again because it had failed is none: nobody has answered it.

    Args:
        messages, at: the records, and the position of each event among them, shape (n,).
    """
    new = repeats.take_in(partition, events.ids, events.times, offsets)
    for i in np.flatnonzero(~new).tolist():
        new[i] = is_failed_one(messages[at[i]])
    return new


class LeftOut:
    """Repeats among what an intake reads, which are counted once all before them was taken."""

    def __init__(self, repeats: RepeatFilter) -> None:
        self._repeats = repeats
        self._offsets: dict[int, NDArray[np.int64]] = {}

    def assign(self, queues: Iterable[PartitionQueue]) -> None:
        """Reading goes on at the positions of these queues."""
        self._offsets = {}
        for queue in queues:
            if queue.is_event:
                self._repeats.go_back(queue.partition, queue.next_offset)
                self._offsets[queue.partition] = np.empty(0, np.int64)

    def positions_of_new(
        self,
        partition: int,
        events: EventBatch,
        offsets: NDArray[np.int64],
        messages: Sequence[Message],
        at: NDArray[np.intp],
    ) -> NDArray[np.intp] | None:
        """Positions of the events that are no repeats, None if none is one; see `new_among`."""
        new = new_among(self._repeats, partition, events, offsets, messages, at)
        if new.all():
            return None
        self._offsets[partition] = np.concatenate([self._offsets[partition], offsets[~new]])
        return np.flatnonzero(new)

    def reached(self, positions: Mapping[int, int]) -> int:
        """How many are newly behind us, now that each partition goes on at these positions."""
        reached = 0
        for partition, offsets in self._offsets.items():
            if offsets.size:
                count = int(np.searchsorted(offsets, positions[partition]))
                self._offsets[partition] = offsets[count:]
                reached += count
        return reached

    def note_taken(self, positions: Iterable[TopicPartition], topic: str) -> None:
        """Partitions go on at these positions once what was taken is committed."""
        for each in positions:
            if each.topic == topic:
                self._repeats.note_taken(each.partition, each.offset)
