"""From messages to work: what is queued, rejected, passed over, and committed."""

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events.contract import EventContract, Field
from streams.events.labels import progress_header
from streams.events.rejection import Reason
from streams.features.repeat_filter import RepeatFilter
from streams.intake.input_batch import InputBatch
from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings

CONTRACT = EventContract(
    id="id",
    time="at",
    min_time="0001-01-01",
    key="card",
    fields={"id": Field(type="int"), "card": Field(type="int"), "amount": Field(type="float")},
)
NOW = 1_700_000_000_000
OLD = 1_600_000_000_000
EVENTS, LABELS = "events", "labels"
MakeTopics = Callable[..., list[str]]


class Message:
    """A message as the client delivers it."""

    def __init__(
        self,
        offset: int,
        value: bytes | None = None,
        *,
        topic: str | None = EVENTS,
        partition: int = 0,
        headers: Any = None,
        timestamp: tuple[int, int] = (1, NOW),
        error: KafkaError | None = None,
    ) -> None:
        self._place = topic, partition, offset
        self._value, self._headers, self._timestamp, self._error = value, headers, timestamp, error

    def topic(self) -> str | None:
        return self._place[0]

    def partition(self) -> int:
        return self._place[1]

    def offset(self) -> int:
        return self._place[2]

    def value(self) -> bytes | None:
        return self._value

    def key(self) -> None:
        return None

    def headers(self) -> Any:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return self._timestamp

    def error(self) -> KafkaError | None:
        return self._error


def event(offset: int, at: int = OLD, event_id: int | None = None, **more: Any) -> Message:
    value = {"id": offset if event_id is None else event_id, "card": 1, "amount": 2.5, "at": at}
    return Message(offset, json.dumps(value).encode(), **more)


def label(offset: int, event_id: int, at: int = OLD, is_fraud: int = 1, **more: Any) -> Message:
    value = {"event_id": event_id, "label": is_fraud, "time": at}
    return Message(offset, json.dumps(value).encode(), topic=LABELS, **more)


def mark(offset: int, at: int | bytes | None, **more: Any) -> Message:
    value = str(at).encode() if isinstance(at, int) else at
    return Message(offset, None, topic=LABELS, headers=[("weir.progress", value)], **more)


def end(offset: int, topic: str = EVENTS, partition: int = 0) -> Message:
    error = KafkaError(KafkaError._PARTITION_EOF)
    return Message(offset, topic=topic, partition=partition, error=error)


def make(labels: bool = False, partitions: int = 1, now: Callable[[], int] = lambda: NOW) -> Intake:
    intake = Intake(CONTRACT, EVENTS, LABELS if labels else None, AlignmentSettings(), now, now)
    places = [Position(EVENTS, partition, 0) for partition in range(partitions)]
    intake.assign([*places, Position(LABELS, 0, 0)] if labels else places)
    return intake


def feed(intake: Intake, *messages: Any) -> None:
    intake.feed(messages)


def committed(work: InputBatch | None) -> dict[tuple[str, int], int]:
    assert work is not None
    return {(each.topic, each.partition): each.offset for each in work.positions}


def take(intake: Intake, limit: int = 100) -> InputBatch:
    work = intake.take(limit)
    assert work is not None
    return work


def test_events_come_out_in_columns() -> None:
    intake = make(partitions=2)
    feed(
        intake,
        event(0, OLD + 5),
        event(1, OLD + 9, timestamp=(1, NOW - 3)),
        event(4, OLD + 7, partition=1),
        end(5, partition=1),
        end(2),
    )
    intake.finish(EVENTS, 0)
    intake.finish(EVENTS, 1)
    assert (intake.waiting, intake.queued()) == (3, {(EVENTS, 0): 2, (EVENTS, 1): 1})
    work = take(intake)
    assert work.events.ids == [0, 4, 1]
    assert work.events.times.tolist() == [OLD + 5, OLD + 7, OLD + 9]
    assert work.partitions.tolist() == [0, 1, 0]
    assert work.offsets.tolist() == [0, 4, 1]
    assert work.arrived.tolist() == [NOW, NOW, NOW - 3]
    assert committed(work) == {(EVENTS, 0): 2, (EVENTS, 1): 5}
    assert (work.bad, len(work.labels)) == ([], 0)
    assert work.decode_s > 0
    assert intake.take(100) is None
    assert intake.waiting == 0


def test_a_bad_record_waits_for_those_before_it_and_holds_back_none() -> None:
    intake = make()
    feed(intake, event(0), Message(1, b"noise"), event(2), Message(3, None), Message(4, b"{}"))
    intake.finish(EVENTS, 0)
    assert intake.positions() == {(EVENTS, 0): 0}
    assert intake.positions(with_queued=True) == {(EVENTS, 0): 5}
    first = take(intake, 1)
    assert first.events.ids == [0]
    assert [bad.rejected.reason for bad in first.bad] == [Reason.NOT_JSON]
    assert first.bad[0].message.offset() == 1
    assert committed(first) == {(EVENTS, 0): 2}
    second = take(intake, 1)
    assert second.events.ids == [2]
    assert [bad.message.offset() for bad in second.bad] == [3, 4]
    assert [bad.rejected.reason for bad in second.bad] == [Reason.EMPTY, Reason.MISSING_FIELD]
    assert committed(second) == {(EVENTS, 0): 5}


def test_a_bad_record_is_held_back_while_events_before_it_wait_for_other_partitions() -> None:
    intake = make(partitions=2)
    feed(intake, event(0), Message(1, b"noise"))
    assert intake.take(100) is None
    feed(intake, event(0, OLD + 1, partition=1))
    work = take(intake)
    assert (work.events.ids, len(work.bad)) == ([0], 1)


def test_nothing_but_garbage_is_work_too() -> None:
    intake = make()
    feed(intake, *(Message(offset, b"noise") for offset in range(3)))
    work = take(intake)
    assert (len(work.events), len(work.bad)) == (0, 3)
    assert (work.partitions.size, work.offsets.size, work.arrived.size) == (0, 0, 0)
    assert committed(work) == {(EVENTS, 0): 3}
    assert intake.take(100) is None


def test_what_was_read_before_is_dropped() -> None:
    intake = make()
    feed(intake, event(0), event(1))
    feed(intake, event(0), event(1), event(2))
    feed(intake, event(1))
    intake.finish(EVENTS, 0)
    assert take(intake).events.ids == [0, 1, 2]


def test_assign_begins_at_the_offset_given_and_forgets_the_rest() -> None:
    intake = make()
    feed(intake, event(0), Message(1, b"noise"))
    intake.assign([Position(EVENTS, 0, 7)])
    assert (intake.waiting, intake.positions()) == (0, {(EVENTS, 0): 7})
    feed(intake, event(5), event(6), event(7))
    intake.finish(EVENTS, 0)
    work = take(intake)
    assert (work.events.ids, work.bad, committed(work)) == ([7], [], {(EVENTS, 0): 8})


def test_partitions_of_others_are_ignored() -> None:
    intake = make()
    feed(intake, event(0, partition=3), end(1, partition=3), event(0, topic="other"))
    assert intake.waiting == 0
    assert intake.positions() == {(EVENTS, 0): 0}


def test_the_end_counts_where_it_stands_between_messages() -> None:
    """A partition that ended and then went on has more to read; one that ended last has not."""
    intake = make(partitions=2)
    live = NOW - 10
    feed(intake, end(0), event(0, live), event(0, live + 5, partition=1), end(1, partition=1))
    assert take(intake).events.times.tolist() == [live]
    assert intake.take(100) is None, "the first may bring one that is earlier"
    feed(intake, end(1))
    assert take(intake).events.times.tolist() == [live + 5]


def test_the_end_moves_the_position_behind_what_nobody_sees() -> None:
    intake = make()
    feed(intake, event(0), end(4))
    assert intake.positions() == {(EVENTS, 0): 0}
    intake.finish(EVENTS, 0)
    assert committed(take(intake)) == {(EVENTS, 0): 4}
    feed(intake, end(2))
    assert intake.positions() == {(EVENTS, 0): 4}, "an end that is known already"


def test_labels_and_events_keep_their_order_in_time() -> None:
    intake = make(labels=True)
    feed(intake, event(0, OLD), event(1, OLD + 10), event(2, OLD + 20))
    feed(intake, label(0, 7, OLD + 10), label(1, 8, OLD + 15, 0), mark(2, OLD + 30))
    intake.finish(EVENTS, 0)
    work = take(intake)
    assert work.events.ids == [0, 1, 2]
    assert work.labels.ids == [7, 8]
    assert work.labels.values.tolist() == [1.0, 0.0]
    assert work.labels.before.tolist() == [1, 2]
    assert committed(work) == {(EVENTS, 0): 3, (LABELS, 0): 3}


def test_progress_frees_events_and_is_no_work_itself() -> None:
    intake = make(labels=True)
    feed(intake, event(0, OLD), event(1, OLD + 10))
    feed(intake, end(2))
    assert intake.take(100) is None
    feed(intake, mark(0, OLD - 1), mark(1, OLD))
    work = take(intake)
    assert work.events.ids == [0]
    assert committed(work) == {(EVENTS, 0): 1, (LABELS, 0): 2}
    feed(intake, mark(2, OLD + 5))
    assert intake.take(100) is None
    assert intake.positions()[LABELS, 0] == 3
    feed(intake, mark(3, OLD + 10))
    assert committed(take(intake)) == {(EVENTS, 0): 2, (LABELS, 0): 4}


@pytest.mark.parametrize(
    "value", [None, b"", b"soon", b"1.5", b"9" * 40, b"-", "١٢".encode()], ids=repr
)
def test_a_mark_that_says_no_time_is_a_bad_record(value: bytes | None) -> None:
    intake = make(labels=True)
    feed(intake, mark(0, value), label(1, 7))
    feed(intake, event(0, OLD + 1))
    intake.finish(EVENTS, 0)
    intake.finish(LABELS, 0)
    work = take(intake)
    assert [bad.rejected.reason for bad in work.bad] == [Reason.EMPTY]
    assert work.labels.ids == [7]


def test_a_mark_from_the_future_does_not_hold_later_labels() -> None:
    intake = make(labels=True)
    feed(intake, mark(0, NOW + 10**12), label(1, 7, NOW), mark(2, -5))
    feed(intake, event(0, NOW + CONTRACT.max_future), event(1, NOW + CONTRACT.max_future + 1))
    intake.finish(LABELS, 0)
    intake.finish(EVENTS, 0)
    work = take(intake)
    assert (work.labels.ids, work.labels.before.tolist()) == ([7], [1])


def test_a_tombstone_among_labels_is_bad_and_among_events_too() -> None:
    intake = make(labels=True)
    feed(intake, Message(0, None, topic=LABELS), Message(0, None))
    work = take(intake)
    places = {(bad.message.topic(), bad.rejected.reason) for bad in work.bad}
    assert places == {(LABELS, Reason.EMPTY), (EVENTS, Reason.EMPTY)}


def test_labels_must_fit_their_own_contract() -> None:
    intake = make(labels=True)
    feed(intake, label(0, 7, is_fraud=2), label(1, 7, NOW + CONTRACT.max_future + 1))
    reasons = [bad.rejected.reason for bad in take(intake).bad]
    assert reasons == [Reason.OUT_OF_BOUNDS, Reason.FROM_THE_FUTURE]


def test_without_a_timestamp_an_event_arrives_now() -> None:
    intake = make(now=lambda: NOW + 77)
    latest = NOW + 77 + CONTRACT.max_future
    feed(intake, event(0, latest, timestamp=(0, -1)), event(1, latest + 1, timestamp=(0, 0)))
    intake.finish(EVENTS, 0)
    work = take(intake)
    assert (work.events.ids, work.arrived.tolist()) == ([0], [NOW + 77])
    assert [bad.rejected.reason for bad in work.bad] == [Reason.FROM_THE_FUTURE]


def test_the_future_is_judged_by_arrival_so_that_a_second_reading_judges_alike() -> None:
    for now in (NOW, NOW + 10**9):
        intake = make(now=lambda now=now: now)
        feed(intake, event(0, NOW + CONTRACT.max_future + 1, timestamp=(1, NOW)))
        assert [bad.rejected.reason for bad in take(intake).bad] == [Reason.FROM_THE_FUTURE]


def test_an_error_is_logged_and_a_fatal_one_raised(caplog: pytest.LogCaptureFixture) -> None:
    intake = make()
    missing = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "no such topic")
    with caplog.at_level(logging.WARNING):
        feed(intake, Message(-1001, topic=None, error=missing), event(0))
    assert "no such topic" in caplog.text
    assert intake.waiting == 1
    for code in (KafkaError._FATAL, KafkaError.TOPIC_AUTHORIZATION_FAILED):
        with pytest.raises(KafkaException, match="over"):
            feed(intake, Message(-1001, topic=None, error=KafkaError(code, "it is over")))


def test_messages_of_the_real_client(kafka: str, make_topics: MakeTopics) -> None:
    events_topic, labels_topic = make_topics("events", "labels", partitions=2)
    producer = Producer({"bootstrap.servers": kafka})
    for i in range(60):
        value = json.dumps({"id": i, "card": i % 7, "amount": 1.0, "at": OLD + 10 * i})
        producer.produce(events_topic, value, partition=i % 2, timestamp=NOW + i)
    producer.produce(events_topic, b"noise", partition=0, headers=[("trace", b"x")])
    for i in range(0, 60, 3):
        value = json.dumps({"event_id": i, "label": 1, "time": OLD + 10 * i + 5})
        producer.produce(labels_topic, value, partition=i % 2)
    for partition in range(2):
        producer.produce(
            labels_topic, None, partition=partition, headers=progress_header(OLD + 10_000)
        )
    assert producer.flush(30) == 0

    intake = Intake(CONTRACT, events_topic, labels_topic, AlignmentSettings(), lambda: NOW)
    places = [TopicPartition(t, p, 0) for t in (events_topic, labels_topic) for p in range(2)]
    intake.assign([Position(place.topic, place.partition, 0) for place in places])
    consumer = Consumer(KafkaSettings(bootstrap_servers=kafka).consumer_config(group_id="intake"))
    consumer.assign(places)
    ended: set[tuple[str, int]] = set()
    works: list[InputBatch] = []
    try:
        while len(ended) < len(places):
            messages: Sequence[Any] = consumer.consume(7, 1.0)
            intake.feed(messages)
            ended |= {(m.topic(), m.partition()) for m in messages if m.error() is not None}
            for topic, partition in ended:
                intake.finish(topic, partition)
            while (work := intake.take(11)) is not None:
                works.append(work)
    finally:
        consumer.close()
    assert [i for work in works for i in work.events.ids] == list(range(60))
    assert [at for work in works for at in work.arrived] == [NOW + i for i in range(60)]
    known, before = [], 0
    for work in works:
        pairs = zip(work.labels.ids, work.labels.before.tolist(), strict=True)
        known += [(event_id, before + place) for event_id, place in pairs]
        before += len(work.events)
    assert known == [(i, i + 1) for i in range(0, 60, 3)]
    (bad,) = [bad for work in works for bad in work.bad]
    assert bad.message.headers() == [("trace", b"x")]
    last: dict[tuple[str, int], int] = {}
    for work in works:
        for place, offset in committed(work).items():
            assert offset > last.get(place, -1)
            last[place] = offset
    assert last == {
        (events_topic, 0): 31,
        (events_topic, 1): 30,
        (labels_topic, 0): 11,
        (labels_topic, 1): 11,
    }


@pytest.mark.parametrize("at_once", [True, False])
def test_a_label_that_breaks_its_producers_word_queues_alike_however_it_is_read(
    at_once: bool,
) -> None:
    """It comes behind a mark that excludes it, and so behind what that mark has let pass."""
    intake = make(labels=True)
    records = [label(0, 7, 10), mark(1, 50), label(2, 8, 20), mark(3, 40), label(4, 9, 30)]
    for run in [records] if at_once else [[each] for each in records]:
        intake.feed(run)
    (queue,) = [queue for queue in intake._merge.queues if not queue.is_event]
    assert queue.merge_times.tolist() == [10, 51, 51]
    assert queue.reached == 51


def test_a_clock_that_is_set_forward_ends_no_waiting() -> None:
    wall = [NOW]
    intake = Intake(CONTRACT, EVENTS, None, AlignmentSettings(), lambda: wall[0], lambda: 0)
    intake.assign([Position(EVENTS, partition, 0) for partition in range(2)])
    feed(intake, event(0))
    intake.feed([end(0, partition=1)])
    assert intake.take(10) is None
    wall[0] += 10**9
    assert intake.take(10) is None


def test_a_condemned_record_is_bad_when_it_is_read_again_and_forgotten_with_its_commit() -> None:
    intake = make(partitions=2)
    intake.reject_on_reread(EVENTS, 0, 1, "it failed")
    intake.reject_on_reread(EVENTS, 1, 1, "it failed as well")

    def read_again(*positions: Position) -> tuple[list[int], list[tuple[int, str]]]:
        intake.assign(positions)
        for each in positions:
            feed(intake, event(0, partition=each.partition), event(1, partition=each.partition))
            intake.finish(each.topic, each.partition)
        work = take(intake)
        assert all(bad.rejected.reason is Reason.FAILED for bad in work.bad)
        return work.offsets.tolist(), [(b.message.partition(), b.rejected.detail) for b in work.bad]

    first, second = Position(EVENTS, 0, 0), Position(EVENTS, 1, 0)
    failed = [(0, "it failed"), (1, "it failed as well")]
    assert read_again(first, second) == read_again(first, second) == ([0, 0], failed)
    intake.assign([Position(EVENTS, 0, 2), second])
    assert read_again(first, second) == ([0, 0, 1], failed[1:])
    intake.assign([first])
    assert read_again(first, second) == ([0, 0, 1, 1], [])


PLACES = [(EVENTS, 0), (EVENTS, 1), (EVENTS, 2), (LABELS, 0)]


@st.composite
def consumed(draw: st.DrawFn) -> list[Message]:
    """What a consumer of three partitions of events and one of labels may hand out."""
    next_offset = dict.fromkeys(PLACES, 0)
    messages = []
    for _ in range(draw(st.integers(0, 40))):
        topic, partition = place = draw(st.sampled_from(PLACES))
        offset = next_offset[place]
        at, stamp = draw(st.integers(OLD, OLD + 9)), (1, NOW + draw(st.integers(-9, 9)))
        where: Any = {"topic": topic, "partition": partition, "timestamp": stamp}
        kinds = [
            event(offset, at, **where),
            Message(offset, b"noise", **where),
            Message(offset, None, **where),
            end(offset, topic, partition),
        ]
        if topic == LABELS:
            del where["topic"]
            kinds += [label(offset, 7, at, **where)] * 2 + [mark(offset, at, **where)] * 2
        message = draw(st.sampled_from(kinds))
        if message.error() is None:
            next_offset[place] += draw(st.integers(1, 2))
        messages.append(message)
    return messages


@settings(max_examples=60, deadline=None)
@given(consumed(), st.sets(st.tuples(st.sampled_from(PLACES), st.integers(0, 9))), st.data())
def test_in_whatever_pieces_messages_come_the_same_comes_out(
    messages: list[Message], condemned: set[tuple[tuple[str, int], int]], data: st.DataObject
) -> None:
    pieces = [[each] for each in messages]
    in_pieces, at_once = (_answered(each, condemned) for each in (pieces, [messages]))
    assert in_pieces == at_once
    cut = data.draw(st.integers(0, len(messages)))
    assert _answered([messages[:cut], messages[cut:]], condemned) == at_once


def _answered(runs: list[list[Message]], condemned: set[tuple[tuple[str, int], int]]) -> Any:
    intake = make(labels=True, partitions=3)
    for place, offset in condemned:
        intake.reject_on_reread(*place, offset, "it failed")
    for run in runs:
        intake.feed(run)
    for place in PLACES:
        intake.finish(*place)
    work = intake.take(100)
    if work is None:
        return intake.positions()
    bad = {
        (each.message.topic(), each.message.partition(), each.message.offset()): (
            each.rejected.reason,
            each.rejected.detail,
        )
        for each in work.bad
    }
    assert len(bad) == len(work.bad)
    events, labels = work.events, work.labels
    columns = (events.times, work.partitions, work.offsets, work.arrived, labels.before)
    return events.ids, [each.tolist() for each in columns], labels.ids, bad, committed(work)


def test_repeats_are_as_if_they_had_not_been_sent() -> None:
    """Neither queued nor let into the order of time; they are passed once all before them is."""
    once = RepeatFilter(1_000, 1_000_000, texts=False)
    intake = Intake(CONTRACT, EVENTS, None, AlignmentSettings(), lambda: NOW, repeats=once)
    intake.assign([Position(EVENTS, 0, 0), Position(EVENTS, 1, 0)])
    feed(
        intake,
        event(0, OLD, event_id=1),
        event(1, OLD + 9, event_id=2),
        event(2, OLD, event_id=1),
        event(3, OLD + 500, event_id=2),
        event(4, OLD, event_id=1, headers=[("weir.reason", b"failed")]),
        event(0, OLD + 9, event_id=1, partition=1),  # another partition, another event
    )
    assert (intake.waiting, len(once)) == (4, 3)
    intake.finish(EVENTS, 0)
    intake.finish(EVENTS, 1)
    work = take(intake, 2)
    assert (work.events.ids, work.repeats) == ([1, 1], 0)
    assert committed(work) == {(EVENTS, 0): 1, (EVENTS, 1): 1}
    work = take(intake)
    assert (work.events.ids, work.repeats) == ([2, 1], 2)
    assert committed(work) == {(EVENTS, 0): 5}
    feed(intake, event(5, OLD, event_id=1), event(6, OLD, event_id=2))
    work = take(intake)
    assert (len(work.events), work.repeats, committed(work)) == (0, 2, {(EVENTS, 0): 7})
    intake.assign([Position(EVENTS, 0, 1), Position(EVENTS, 1, 1)])
    feed(intake, event(1, OLD + 9, event_id=2), event(2, OLD, event_id=1))
    assert (intake.waiting, len(once)) == (1, 3)
