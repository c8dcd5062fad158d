"""From consumed messages to work: decoding, dead letters, and the order of event time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, count, filterfalse, groupby, repeat
from operator import is_, itemgetter
from time import perf_counter

import numpy as np
from confluent_kafka import Message, TopicPartition
from numpy.typing import NDArray

from streams.events.contract import EventContract
from streams.events.json_decoder import Decoder, TryAgainLaterError
from streams.events.labels import label_contract, read_progress
from streams.features.label_batch import LabelBatch
from streams.features.repeat_filter import RepeatFilter
from streams.intake.bad_records import BadRecords
from streams.intake.header_texts import with_header_texts
from streams.intake.held_records import HeldRecords
from streams.intake.input_batch import InputBatch
from streams.intake.partition_queue import ARRIVED, OFFSET, TIME, PartitionQueue
from streams.intake.position import NO_TIME, Position
from streams.intake.repeats import LeftOut
from streams.intake.time_merge import (
    NOTHING,
    AlignmentSettings,
    MergedRecords,
    TimeMerge,
    monotonic_ms,
)
from streams.kafka.message import headers_of
from streams.kafka.partition import PartitionId
from streams.kafka.records.consuming import is_end, note_errors

_NO_MARKS = np.empty((2, 0), np.int64)

_STAMP = itemgetter(1)


class Intake:
    """Queues what a consumer reads of the events topic and, where wanted, of the labels topic.

    Args:
        contract: what an event must hold.
        events_topic: its topic.
        labels_topic: where labels are, or None if no feature needs them.
        now_ms: the wall clock, UTC milliseconds.
        steady_ms: what waiting is measured by: a clock that nobody sets.
        decoder: decodes events, where they are not plain JSON.
        repeats: tells repeats, which are left out as if they had not been sent; None to take all.
    """

    def __init__(
        self,
        contract: EventContract,
        events_topic: str,
        labels_topic: str | None,
        settings: AlignmentSettings,
        now_ms: Callable[[], int],
        steady_ms: Callable[[], int] = monotonic_ms,
        decoder: Decoder | None = None,
        repeats: RepeatFilter | None = None,
    ) -> None:
        self.events_topic = events_topic
        self.labels_topic = labels_topic
        self._contract = contract
        self._now_ms = now_ms
        self._decoders = {events_topic: decoder or Decoder(contract)}
        if labels_topic is not None:
            self._decoders[labels_topic] = Decoder(label_contract(contract))
        self._id_of = self._decoders[events_topic].getter(contract.id)
        self._merge = TimeMerge(settings, now_ms, self._id_of, steady_ms)
        self._queues: dict[PartitionId, PartitionQueue] = {}
        self._bad = BadRecords()
        self._held = HeldRecords(steady_ms)
        self._taken_to: dict[PartitionId, int] = {}
        self._left_out = LeftOut(repeats) if repeats is not None else None
        self._decode_s = 0.0

    @property
    def topics(self) -> list[str]:
        """The topics to subscribe to."""
        return list(self._decoders)

    @property
    def waiting(self) -> int:
        """How many records are queued."""
        return self._merge.waiting

    @property
    def holding(self) -> bool:
        """Whether records can't be decoded yet: they are tried again when `feed` is called."""
        return self._held.any

    def queued(self) -> dict[PartitionId, int]:
        """How many records each partition has queued, or holds until they can be decoded."""
        return {
            place: len(queue.items) + self._held.count(place)
            for place, queue in self._queues.items()
        }

    def positions(self, with_queued: bool = False) -> dict[PartitionId, int]:
        """Next offset of each partition: to be taken, or behind what is queued."""
        return {
            place: queue.next_offset if with_queued else queue.position
            for place, queue in self._queues.items()
        }

    def checkpoint(self) -> list[Position]:
        """How far each partition was taken."""
        return [
            Position(*place, queue.position, queue.reached_at_position)
            for place, queue in self._queues.items()
        ]

    def assign(self, partitions: Iterable[Position]) -> None:
        """Forget everything and start with these partitions at their positions."""
        self._queues = {
            (each.topic, each.partition): PartitionQueue(
                topic=each.topic,
                partition=each.partition,
                is_event=each.topic == self.events_topic,
                next_offset=each.offset,
                reached=each.reached,
            )
            for each in partitions
        }
        self._taken_to = {place: queue.next_offset for place, queue in self._queues.items()}
        self._bad.assign(self._queues)
        self._held.clear()
        if self._left_out is not None:
            self._left_out.assign(self._queues.values())
        self._merge.set_queues(self._queues.values())

    def began_at(self, topic: str, partition: int) -> int | None:
        """Event time (ms) of the first record that was read of a partition since `assign`."""
        return self._queues[topic, partition].began_at

    def reject_on_reread(self, topic: str, partition: int, offset: int, why: str) -> None:
        """Take this record for a bad one when it is read again, until `assign` begins behind it."""
        self._bad.reject_on_reread((topic, partition), offset, why)

    def finish(self, topic: str, partition: int) -> None:
        """Let nobody wait for a partition that is read no further."""
        self._queues[topic, partition].idle = True

    def feed(self, messages: Sequence[Message]) -> None:
        """Decode what was consumed and queue it; what is not ours any more is dropped.

        A record that can't be decoded yet is held, with all behind it in its partition, and tried
        again by a later call; the other partitions go on.

        Raises:
            KafkaException: the consumer is of no further use.
        """
        start = perf_counter()
        if messages and any(map(type(messages[0]).error, messages)):
            note_errors(messages)
            messages = [each for each in messages if each.error() is None or is_end(each)]
        for place, run in self._by_partition(messages):
            if not self._held.queue_behind(place, run):
                self._feed_queue(place, run)
        self._held.try_again(self._feed_queue)
        self._decode_s += perf_counter() - start

    def _by_partition(
        self, messages: Sequence[Message]
    ) -> Iterator[tuple[PartitionId, list[Message]]]:
        """What was consumed of each of our partitions; the client hands out each in one piece."""
        # Here and below a message's methods are taken of its class: `map` then calls each in C,
        # four times as fast as by `methodcaller`.
        kind = type(messages[0]) if messages else Message
        for partition, of_partition in groupby(messages, kind.partition):
            for topic, run in groupby(of_partition, kind.topic):
                if (topic, partition) in self._queues:
                    yield (topic, partition), list(run)

    def _feed_queue(self, place: PartitionId, run: list[Message]) -> None:
        queue = self._queues[place]
        kind = type(run[0])
        messages = list(filterfalse(kind.error, run))
        offsets = np.fromiter(map(kind.offset, messages), np.int64, len(messages))
        if len(messages) and offsets[0] < queue.next_offset:
            # A seek that is still under way can deliver what was read before.
            fresh = int(np.searchsorted(offsets, queue.next_offset))
            messages, offsets = messages[fresh:], offsets[fresh:]
        queued = self._queue(queue, messages, offsets) if messages else 0
        end = run[-1:] if is_end(run[-1]) else []
        if queued < len(messages):
            self._held.hold(place, messages[queued:] + end)
            # It has nothing to give for now, which live events don't wait for; but it is not
            # silent, so that history does.
            queue.caught_up, queue.spoke, queue.idle = True, True, False
        elif end:
            queue.caught_up = True
            # The end may lie behind markers of transactions, which nobody sees.
            queue.next_offset = max(queue.next_offset, end[0].offset())

    def _queue(
        self, queue: PartitionQueue, messages: list[Message], offsets: NDArray[np.int64]
    ) -> int:
        """Queue records; returns how many, the others can't be decoded yet."""
        ready, kind = len(messages), type(messages[0])
        values: list[bytes | None] = list(map(kind.value, messages))
        arrived = np.fromiter(map(_STAMP, map(kind.timestamp, messages)), np.int64, ready)
        arrived[arrived <= 0] = self._now_ms()  # stamped by nobody
        marks = _NO_MARKS if queue.is_event else self._marks(messages, values, arrived)
        rejected = self._bad.among(queue.place, offsets)
        left = np.arange(ready)
        if marks.size or rejected.size:
            left = np.delete(left, np.concatenate([marks[0], rejected]))
            values = list(map(values.__getitem__, left.tolist()))
        try:
            decoded = self._decoders[queue.topic].decode(values, arrived[left])
        except TryAgainLaterError as later:
            decoded, ready = later.decoded, int(left[later.position])
            marks, rejected = marks[:, marks[0] < ready], rejected[rejected < ready]
            if not ready:
                return 0
        self._bad.add_reread(queue.place, messages, rejected)
        for bad in decoded.rejected:
            self._bad.add(messages[left[bad.position]], bad)
        events, at = decoded.events, left[decoded.positions]
        if queue.is_event and self._left_out is not None and len(events):
            new = self._left_out.positions_of_new(
                queue.partition, events, offsets[at], messages, at
            )
            if new is not None:
                events, at = events.take(new), at[new]
        events = with_header_texts(self._decoders[queue.topic], events, messages, at)
        numbers = np.stack([events.times, offsets[at], arrived[at]])
        next_offset = int(offsets[ready - 1]) + 1
        if not marks.size:
            queue.add(events.records, numbers, next_offset)
            return ready
        reached = np.maximum.accumulate(np.insert(marks[1] + 1, 0, NO_TIME))
        queue.add(events.records, numbers, next_offset, reached[np.searchsorted(marks[0], at)])
        queue.completed_to(int(reached[-1]) - 1)
        return ready

    def _marks(
        self, messages: list[Message], values: list[bytes | None], arrived: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Positions of the progress records and the times that they reach, shape (2, marks).

        No further than a label's own time may: labels behind it would wait for events of then.
        """
        marks = [
            (i, min(time, int(arrived[i]) + self._contract.max_future))
            for i in compress(count(), map(is_, values, repeat(None)))
            if (time := read_progress(headers_of(messages[i]))) is not None
        ]
        return np.array(marks, np.int64).reshape(-1, 2).T

    def take(self, limit: int) -> InputBatch | None:
        """Up to `limit` events and labels that are due, or None if nothing is to be done.

        Bad records come along as soon as all before them in their partition were taken, and so do
        repeats.
        """
        merged = self._merge.take(limit)
        bad = self._bad.reached(self._queues)
        repeats = 0
        if self._left_out is not None:
            repeats = self._left_out.reached(
                {p: queue.position for (_, p), queue in self._queues.items() if queue.is_event}
            )
        if merged is None and not bad and not repeats:
            return None
        queues = self._merge.queues
        positions = [
            TopicPartition(queue.topic, queue.partition, queue.position)
            for place, queue in self._queues.items()
            if queue.position != self._taken_to[place]
        ]
        for each in positions:
            self._taken_to[each.topic, each.partition] = each.offset
        if self._left_out is not None:
            self._left_out.note_taken(positions, self.events_topic)
        decode_s, self._decode_s = self._decode_s, 0.0
        merged = merged or NOTHING
        partitions = np.array([queue.partition for queue in queues], np.int64)
        return InputBatch(
            events=self._decoders[self.events_topic].batch(merged.events, merged.numbers[TIME]),
            partitions=partitions[merged.queues],
            offsets=merged.numbers[OFFSET],
            arrived=merged.numbers[ARRIVED],
            labels=self._label_batch(merged),
            bad=bad,
            positions=positions,
            decode_s=decode_s,
            repeats=repeats,
        )

    def _label_batch(self, merged: MergedRecords) -> LabelBatch:
        if not merged.labels:
            return LabelBatch()
        assert self.labels_topic is not None
        decoder = self._decoders[self.labels_topic]
        batch = decoder.batch(merged.labels, np.zeros(len(merged.labels), np.int64))
        return LabelBatch(batch.ids, batch.numbers("label"), merged.label_before)
