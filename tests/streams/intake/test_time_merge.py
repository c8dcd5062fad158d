"""The time-aligned merge, against a plain model of the order and with a clock that stands still."""

from dataclasses import dataclass, field
from heapq import merge
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.intake.partition_queue import ARRIVED, OFFSET, TIME, PartitionQueue
from streams.intake.time_merge import AlignmentSettings, MergedRecords, TimeMerge

MAX_IDLE, MAX_HOLD, LIVE = 1_000, 30_000, 60_000
NOW = 10_000_000_000


class Record(NamedTuple):
    queue: int
    time: int
    offset: int
    id: Any


def queue_of(is_event: bool, partition: int = 0) -> PartitionQueue:
    return PartitionQueue("events" if is_event else "labels", partition, is_event, next_offset=0)


def add(queue: PartitionQueue, records: list[Record]) -> None:
    numbers = np.empty((3, len(records)), np.int64)
    numbers[TIME] = [record.time for record in records]
    numbers[OFFSET] = [record.offset for record in records]
    numbers[ARRIVED] = [record.time + 7 for record in records]
    queue.add(records, numbers, records[-1].offset + 1 if records else queue.next_offset)


class Merge:
    """An alignment with a clock, and all that came out of it."""

    def __init__(self, queues: list[PartitionQueue], now: int = NOW) -> None:
        self.now = now
        config = AlignmentSettings.model_validate(
            {"max_idle": "1s", "max_hold": "30s", "live_within": "1m"}
        )
        self.alignment = TimeMerge(
            config, lambda: self.now, lambda record: record.id, lambda: self.now
        )
        self.alignment.set_queues(queues)
        self.queues = queues
        self.events: list[Record] = []
        self.labels: list[tuple[Record, int]] = []

    def take(self, limit: int = 1_000) -> MergedRecords | None:
        before = self.alignment.waiting
        merged = self.alignment.take(limit)
        if merged is None:
            assert self.alignment.waiting == before
            return None
        assert 0 < len(merged.events) + len(merged.labels) <= limit
        assert self.alignment.waiting == before - len(merged.events) - len(merged.labels)
        assert merged.numbers[TIME].tolist() == [event.time for event in merged.events]
        assert merged.numbers[OFFSET].tolist() == [event.offset for event in merged.events]
        assert merged.numbers[ARRIVED].tolist() == [event.time + 7 for event in merged.events]
        assert merged.queues.tolist() == [event.queue for event in merged.events]
        assert (np.diff(merged.label_before) >= 0).all()
        for label, before in zip(merged.labels, merged.label_before.tolist(), strict=True):
            self.labels.append((label, len(self.events) + before))
        self.events += merged.events
        return merged

    def drain(self, limit: int = 1_000) -> None:
        while self.take(limit):
            pass

    def taken(self) -> list[int]:
        """Ids taken since the last call."""
        ids = [event.id for event in self.events] + [label.id for label, _ in self.labels]
        self.events, self.labels = [], []
        return ids


@dataclass
class Stream:
    """What one partition will bring."""

    is_event: bool
    records: list[Record]
    chunks: list[int]
    read: int = 0
    merge_times: list[int] = field(default_factory=list)


@st.composite
def streams(draw: st.DrawFn, late: bool) -> list[Stream]:
    """Up to 4 partitions of events and 2 of labels; few times, so that many are the same.

    The ids are numbers or text; each may be there once only, or many times.
    """
    kinds = [True] * draw(st.integers(1, 4)) + [False] * draw(st.integers(0, 2))
    columns = []
    for _ in kinds:
        times = draw(st.lists(st.integers(0, 12), max_size=15))
        columns.append(times if late else sorted(times))
    name = draw(st.sampled_from([int, lambda i: i % 3, lambda i: "ab"[i % 2] + "\0" * (i % 3)]))
    ids: list[Any] = list(map(name, draw(st.permutations(range(sum(map(len, columns)))))))
    result = []
    for queue, (is_event, times) in enumerate(zip(kinds, columns, strict=True)):
        own, ids = ids[: len(times)], ids[len(times) :]
        # Gaps between offsets are bad records, or markers of transactions.
        offsets = accumulate(
            draw(st.lists(st.integers(1, 3), min_size=len(times), max_size=len(times)))
        )
        records = [Record(queue, *each) for each in zip(times, offsets, own, strict=True)]
        chunks = draw(st.lists(st.integers(1, 5), min_size=len(times), max_size=len(times)))
        result.append(Stream(is_event, records, chunks, merge_times=list(accumulate(times, max))))
    return result


def expected_events(all_streams: list[Stream]) -> list[Record]:
    """By time; at the same time by id, but never past an earlier one of the same partition."""
    queues = [
        [
            (merge_time, record)
            for merge_time, record in zip(each.merge_times, each.records, strict=True)
        ]
        for each in all_streams
        if each.is_event
    ]
    by_time = sorted((pair for queue in queues for pair in queue), key=lambda pair: pair[0])
    order = []
    for _, tied in groupby(by_time, key=lambda pair: pair[0]):
        runs: dict[int, list[Record]] = {}
        for _, record in tied:
            runs.setdefault(record.queue, []).append(record)
        order += merge(*runs.values(), key=lambda record: record.id)
    return order


def run(all_streams: list[Stream], data: st.DataObject, with_marks: bool) -> Merge:
    """Feed in random pieces, take in between, and check every queue's position at every step."""
    queues = [queue_of(each.is_event, i) for i, each in enumerate(all_streams)]
    aligned = Merge(queues)
    unread = list(range(len(queues)))
    silent_for = 0
    while unread:
        which = data.draw(st.sampled_from(unread))
        stream, queue = all_streams[which], queues[which]
        chunk = stream.records[stream.read :][
            : stream.chunks[stream.read % len(stream.chunks)] if stream.chunks else 0
        ]
        add(queue, chunk)
        stream.read += len(chunk)
        left = stream.records[stream.read :]
        if with_marks and left and data.draw(st.booleans()):
            queue.completed_to(left[0].time - 1)
        if data.draw(st.booleans()):
            queue.caught_up = True
        if not left:
            # All has been read, and nobody need wait: this is what a reader of history says.
            queue.idle = True
            unread.remove(which)
        if data.draw(st.booleans()):
            # Never so long that somebody's patience ends.
            step = data.draw(st.integers(0, 20))
            if silent_for + step < MAX_IDLE:
                silent_for += step
                aligned.now += step
            aligned.take(data.draw(st.integers(1, 20)))
        check_positions(aligned, all_streams)
    aligned.drain(data.draw(st.integers(1, 20)))
    check_positions(aligned, all_streams)
    return aligned


def check_positions(aligned: Merge, all_streams: list[Stream]) -> None:
    """An offset is committed if, and only if, all before it in its partition was taken."""
    taken = set(aligned.events) | {label for label, _ in aligned.labels}
    for stream, queue in zip(all_streams, aligned.queues, strict=True):
        read = stream.records[: stream.read]
        waiting = [record.offset for record in read if record not in taken]
        assert queue.position == (waiting[0] if waiting else queue.next_offset)
        assert all(record.offset < queue.position for record in read if record in taken)


def check_labels(aligned: Merge, all_streams: list[Stream]) -> None:
    """Each label once, in its partition's order, before the events of its time."""
    turn_of = {
        record: merge_time
        for each in all_streams
        for merge_time, record in zip(each.merge_times, each.records, strict=True)
    }
    for queue, stream in enumerate(all_streams):
        if not stream.is_event:
            mine = [label for label, _ in aligned.labels if label.queue == queue]
            assert mine == stream.records
    for label, before in aligned.labels:
        assert before == sum(turn_of[event] < turn_of[label] for event in aligned.events)


@settings(max_examples=300, deadline=None)
@given(streams(late=False), st.data(), st.booleans())
def test_order_is_by_time_labels_first_then_id_whatever_the_chunks(
    all_streams: list[Stream], data: st.DataObject, with_marks: bool
) -> None:
    aligned = run(all_streams, data, with_marks)
    assert aligned.events == expected_events(all_streams)
    check_labels(aligned, all_streams)
    times = [event.time for event in aligned.events]
    assert times == sorted(times)


@settings(max_examples=200, deadline=None)
@given(streams(late=True), st.data())
def test_late_records_keep_their_place_in_their_partition(
    all_streams: list[Stream], data: st.DataObject
) -> None:
    aligned = run(all_streams, data, with_marks=False)
    assert aligned.events == expected_events(all_streams)
    check_labels(aligned, all_streams)
    for queue, stream in enumerate(all_streams):
        if stream.is_event:
            assert [event for event in aligned.events if event.queue == queue] == stream.records


@settings(max_examples=100, deadline=None)
@given(streams(late=True), st.data())
def test_nothing_is_lost_or_doubled_when_patience_ends(
    all_streams: list[Stream], data: st.DataObject
) -> None:
    queues = [queue_of(each.is_event, i) for i, each in enumerate(all_streams)]
    aligned = Merge(queues)
    for _ in range(data.draw(st.integers(0, 40))):
        which = data.draw(st.integers(0, len(queues) - 1))
        stream = all_streams[which]
        chunk = stream.records[stream.read :][: data.draw(st.integers(1, 5))]
        if chunk:
            add(queues[which], chunk)
            stream.read += len(chunk)
        queues[which].caught_up |= data.draw(st.booleans())
        aligned.now += data.draw(st.sampled_from([0, 10, 900, 5_000, 40_000]))
        aligned.take(data.draw(st.integers(1, 20)))
        check_positions(aligned, all_streams)
    for _ in range(3):
        aligned.drain()
        aligned.now += MAX_HOLD
    aligned.drain()
    read = {record for stream in all_streams for record in stream.records[: stream.read]}
    taken = aligned.events + [label for label, _ in aligned.labels]
    assert len(taken) == len(read)
    assert set(taken) == read
    for queue, stream in enumerate(all_streams):
        mine = [record for record in taken if record.queue == queue]
        assert mine == stream.records[: stream.read]


def events(queue: int, *times: int, first: int = 0) -> list[Record]:
    return [Record(queue, time, first + i, 100 * queue + first + i) for i, time in enumerate(times)]


@pytest.fixture
def pair() -> Merge:
    return Merge([queue_of(True, 0), queue_of(True, 1)])


def test_a_lane_that_never_spoke_holds_all(pair: Merge) -> None:
    add(pair.queues[0], events(0, 1, 2, 3))
    assert pair.take() is None
    add(pair.queues[1], events(1, 2, 5))
    pair.take()
    # At 3 the first may bring more, but nothing of the second lies there.
    assert pair.taken() == [0, 1, 100, 2]


def test_ties_wait_until_both_lanes_are_past_them(pair: Merge) -> None:
    add(pair.queues[0], [Record(0, 5, 0, 30)])
    add(pair.queues[1], [Record(1, 5, 0, 20)])
    assert pair.take() is None
    add(pair.queues[0], [Record(0, 5, 1, 10), Record(0, 6, 2, 40)])
    assert pair.take() is None
    add(pair.queues[1], [Record(1, 7, 1, 50)])
    pair.take()
    # 30 is before 10 in its partition, so 20 comes first.
    assert pair.taken() == [20, 30, 10, 40]


def test_progress_releases_events() -> None:
    aligned = Merge([queue_of(True), queue_of(False, 1)])
    add(aligned.queues[0], events(0, 10, 20, 30))
    assert aligned.take() is None
    aligned.queues[1].completed_to(20)
    aligned.take()
    assert aligned.taken() == [0, 1]
    add(aligned.queues[1], [Record(1, 30, 0, 7)])
    aligned.queues[1].completed_to(30)
    aligned.take()
    assert (aligned.labels, aligned.taken()) == ([(Record(1, 30, 0, 7), 0)], [2, 7])


def test_progress_that_goes_back_changes_nothing() -> None:
    queue = queue_of(False)
    queue.completed_to(20)
    queue.completed_to(5)
    assert queue.reached == 21


def test_a_silent_lane_is_waited_for_as_long_as_max_idle_and_again_after_it_spoke(
    pair: Merge,
) -> None:
    first, second = pair.queues
    add(first, events(0, 1, 2))
    add(second, events(1, 1))
    second.completed_to(1)
    second.caught_up = True
    pair.drain()
    assert pair.taken() == [0, 100]
    assert pair.take() is None
    pair.now += MAX_IDLE - 1
    assert pair.take() is None
    pair.now += 1
    pair.take()
    assert pair.taken() == [1]
    add(first, events(0, 3, 4, first=2))
    pair.take()
    assert pair.taken() == [2, 3], "a queue that was given up holds nobody"
    add(second, events(1, 5, first=1))
    add(first, events(0, 9, first=4))
    pair.take()
    assert pair.taken() == [101]
    assert pair.take() is None, "it holds again"


def test_a_lane_with_more_to_read_is_waited_for_as_long_as_max_hold(pair: Merge) -> None:
    add(pair.queues[0], events(0, 1))
    assert pair.take() is None
    pair.now += MAX_HOLD - 1
    assert pair.take() is None
    pair.now += 1
    pair.take()
    assert pair.taken() == [0]


def test_patience_begins_anew_with_every_wait() -> None:
    aligned = Merge([queue_of(True, partition) for partition in range(3)])
    first, second, third = aligned.queues
    add(first, events(0, 1, 200))
    second.caught_up = third.caught_up = True
    third.completed_to(100)
    assert aligned.take() is None
    aligned.now += MAX_IDLE - 1
    add(second, events(1, 300))
    aligned.take()
    assert aligned.taken() == [0]
    aligned.now += 2
    assert aligned.take() is None, "the third holds for the first time"
    aligned.now += MAX_IDLE
    aligned.take()
    assert aligned.taken() == [1]


def test_a_burst_after_silence_waits_for_all_lanes_anew(pair: Merge) -> None:
    for queue in pair.queues:
        queue.caught_up = True
        queue.idle = True
    pair.now += 2 * MAX_IDLE
    assert pair.take() is None
    add(pair.queues[0], events(0, 9))
    assert pair.take() is None, "the other one gets its chance"
    add(pair.queues[1], events(1, 8, 10))
    pair.drain()
    assert pair.taken() == [100, 0]


def test_live_events_wait_for_nobody_who_has_nothing_more(pair: Merge) -> None:
    first, second = pair.queues
    first.caught_up = second.caught_up = True
    add(first, events(0, NOW - LIVE, NOW - 5))
    first.caught_up = True
    pair.take()
    assert pair.taken() == [0, 1]
    add(first, events(0, NOW - 3, first=2))
    pair.take()
    assert pair.taken() == [2]


def test_events_that_are_not_live_any_more_do_wait(pair: Merge) -> None:
    for queue in pair.queues:
        queue.caught_up = True
    add(pair.queues[0], events(0, NOW - LIVE - 1))
    assert pair.take() is None


def test_live_events_wait_for_a_lane_that_has_more(pair: Merge) -> None:
    first, second = pair.queues
    add(first, events(0, NOW - 5))
    assert pair.take() is None
    second.caught_up = True
    pair.take()
    assert pair.taken() == [0]


def test_a_limit_cuts_and_the_next_turn_goes_on() -> None:
    aligned = Merge([queue_of(True, 0), queue_of(True, 1), queue_of(False, 2)])
    add(aligned.queues[0], events(0, 1, 3, 3, 5))
    add(aligned.queues[1], events(1, 2, 3, 4))
    add(aligned.queues[2], [Record(2, 3, 0, 7), Record(2, 4, 1, 8)])
    for queue in aligned.queues:
        queue.idle = True
    sizes = []
    while merged := aligned.take(2):
        sizes.append((len(merged.events), len(merged.labels)))
    assert sizes == [(2, 0), (1, 1), (2, 0), (1, 1), (1, 0)]
    assert [event.id for event in aligned.events] == [0, 100, 1, 2, 101, 102, 3]
    assert [(label.id, before) for label, before in aligned.labels] == [(7, 2), (8, 5)]


def test_new_lanes_begin_anew(pair: Merge) -> None:
    add(pair.queues[0], events(0, 1))
    assert pair.take() is None
    pair.now += MAX_HOLD
    again = [queue_of(True, 0), queue_of(True, 1)]
    pair.alignment.set_queues(again)
    assert pair.alignment.queues == again
    assert pair.alignment.waiting == 0
    add(again[0], events(0, 1))
    assert pair.take() is None, "patience begins when somebody waits"
