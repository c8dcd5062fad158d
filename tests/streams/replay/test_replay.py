"""Replays into the real broker."""

import json
import threading
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Message
from pydantic import TypeAdapter

from streams.events.contract import EventContract, Field
from streams.events.json_decoder import Decoder
from streams.events.json_encoder import EventEncoder
from streams.events.labels import LabelSettings, read_progress
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.offline import compute_features
from streams.features.state import FeatureState
from streams.files.event_file import EventFile, open_events
from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.records.publisher import PublishError
from streams.kafka.topics.topic_partitions import TopicError
from streams.kafka.topics.weir_topics import TopicSettings
from streams.replay.pace import Pace
from streams.replay.replay import Replayer, ReplayError, ReplayReport

CONTRACT = EventContract(
    id="id",
    time="at",
    min_time="0001-01-01",
    key="card",
    fields={
        "id": Field(type="int"),
        "card": Field(type="int"),
        "amount": Field(type="float"),
        "terminal": Field(type="string", required=False),
        "online": Field(type="bool", required=False),
    },
)
DELAY_MS = 60_000
LABELS = LabelSettings(field="fraud", delay="1m")  # type: ignore[arg-type]
N = 1_200
MakeTopics = Callable[..., list[str]]
Replay = Callable[..., ReplayReport]


def make_file(folder: Path, times: Any, contract: EventContract = CONTRACT) -> EventFile:
    rng = np.random.default_rng(5)
    n = len(times)
    table = pa.table(
        {
            "id": rng.permutation(n),
            "at": times,
            "card": rng.integers(0, 40, n),
            "amount": rng.uniform(0, 100, n),
            "terminal": pa.array([f"t\u00fc{i}" for i in range(n)], mask=rng.random(n) < 0.2),
            "online": pa.array(rng.random(n) < 0.5, mask=rng.random(n) < 0.2),
            "fraud": pa.array(rng.random(n) < 0.2, mask=rng.random(n) < 0.1),
        }
    )
    path = folder / "events.parquet"
    pq.write_table(table, path)
    return open_events(path, contract, "fraud")


@pytest.fixture
def file(tmp_path: Path) -> EventFile:
    """1,200 events over 10 minutes in whole seconds, so that two share each."""
    return make_file(tmp_path, 1_600_000_000_000 + np.sort(np.arange(N) % 600) * 1000)


@pytest.fixture
def spread(tmp_path: Path) -> EventFile:
    """1,200 events half a second apart."""
    return make_file(tmp_path, 1_600_000_000_000 + np.arange(N) * 500)


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka)


@pytest.fixture
def topics(make_topics: MakeTopics) -> TopicSettings:
    events, labels = make_topics("events", "labels", partitions=3)
    return TopicSettings(events=events, labels=labels)


@pytest.fixture
def replay(settings: KafkaSettings, topics: TopicSettings) -> Replay:
    def run(file: EventFile, pace: str = "max", **options: Any) -> ReplayReport:
        replayer = Replayer(file, settings, topics, LABELS, Pace.parse(pace), **options)
        return replayer.run(threading.Event())

    return run


def read(settings: KafkaSettings, topic: str) -> list[Message]:
    """All records of a topic, ascending in offset per partition."""
    messages = [message for batch in read_to_end(settings, topic) for message in batch]
    return sorted(messages, key=lambda message: (message.partition(), message.offset()))


def is_mark(message: Message) -> bool:
    return message.value() is None


def sent_ids(settings: KafkaSettings, topics: TopicSettings) -> list[int]:
    return [json.loads(message.value())["id"] for message in read(settings, topics.events)]


def sent_labels(settings: KafkaSettings, topics: TopicSettings) -> list[tuple[int, int, int]]:
    """Id, label and due time of every label sent, sorted."""
    values = [json.loads(m.value()) for m in read(settings, topics.labels) if not is_mark(m)]
    return sorted((value["event_id"], value["label"], value["time"]) for value in values)


def expected_labels(file: EventFile, last_due: int, first_due: int = 0) -> list[tuple[Any, ...]]:
    assert file.labels is not None
    rows = zip(file.events.ids, file.labels.tolist(), (file.times + DELAY_MS).tolist(), strict=True)
    return sorted(row for row in rows if row[1] >= 0 and first_due <= row[2] <= last_due)


@pytest.mark.parametrize("time_format", ["s", "ms", "us", "iso"])
def test_encoded_events_decode_to_the_same(
    tmp_path: Path, time_format: Literal["s", "ms", "us", "iso"]
) -> None:
    contract = CONTRACT.model_copy(update={"time_format": time_format})
    times = pa.array([-1_234, 0, 999, 1_600_000_000_123], pa.timestamp("ms"))
    file = make_file(tmp_path, times, contract)
    values = EventEncoder(contract).encode(file.events)
    assert [set(json.loads(value)) for value in values] == [{"at", *CONTRACT.fields}] * 4
    decoded = Decoder(contract, lambda: 2_000_000_000_000).decode(values)
    assert not decoded.rejected
    assert decoded.events.times.tolist() == file.times.tolist()
    for name in CONTRACT.fields:
        assert decoded.events.values(name) == file.events.values(name)


def test_topics_hold_what_the_file_holds(
    file: EventFile, settings: KafkaSettings, topics: TopicSettings, replay: Replay
) -> None:
    seen: list[tuple[int, int]] = []
    replayer = Replayer(file, settings, topics, LABELS, Pace())
    report = replayer.run(threading.Event(), lambda done, total: seen.append((done, total)))
    last = int(file.times[-1])
    labels = expected_labels(file, last)
    assert 900 < len(labels) < N
    assert seen == [(500, N), (1000, N), (N, N)]
    assert (report.events, report.labels) == (N, len(labels))
    assert report.labels_not_due == len(expected_labels(file, 2**62)) - len(labels)
    assert (report.first_ms, report.last_ms) == (int(file.times[0]), last)
    assert (report.resume_from_ms, report.stopped) == (None, False)

    messages = read(settings, topics.events)
    decoded = Decoder(CONTRACT).decode([message.value() for message in messages])
    assert not decoded.rejected
    pairs = list(zip(decoded.events.times.tolist(), decoded.events.ids, strict=True))
    order = np.array(sorted(range(N), key=pairs.__getitem__), np.intp)
    for name in CONTRACT.fields:
        assert decoded.events.take(order).values(name) == file.events.values(name)
    assert decoded.events.take(order).times.tolist() == file.times.tolist()

    for _, of_partition in groupby(
        zip(messages, pairs, strict=True), lambda each: each[0].partition()
    ):
        run = [pair for _, pair in of_partition]
        assert run == sorted(run)
    places = {(message.key(), message.partition()) for message in messages}
    assert len(places) == 40  # one partition per key
    assert {key for key, _ in places} == {str(card).encode() for card in range(40)}
    # What org.apache.kafka.common.utils.Utils.murmur2 gives for "21".
    assert (b"21", (-973932308 & 0x7FFFFFFF) % 3) in places

    assert sent_labels(settings, topics) == labels
    for message in read(settings, topics.labels):
        if not is_mark(message):
            assert message.key() == str(json.loads(message.value())["event_id"]).encode()


def test_marks_speak_the_truth_on_every_partition(
    file: EventFile, settings: KafkaSettings, topics: TopicSettings, replay: Replay
) -> None:
    report = replay(file)
    marks = 0
    messages = read(settings, topics.labels)
    for partition, run in groupby(messages, lambda message: message.partition()):
        said: list[int] = []
        dues: list[int] = []
        for message in run:
            if is_mark(message):
                time = read_progress(message.headers())
                assert time is not None
                said.append(time)
            else:
                dues.append(json.loads(message.value())["time"])
                assert dues[-1] > said[-1], f"partition {partition}: late label"
        assert dues == sorted(dues)
        assert len(dues) > 100
        assert said == sorted(said)
        assert said[0] == file.times[0] - 1
        assert said[-1] == file.times[-1]
        assert len(said) >= 4  # first, after 500 and 1000 events, last
        marks += len(said)
    assert marks == report.marks


@pytest.mark.parametrize("pace", ["max", "4000/s", "2000x"])
def test_labels_go_out_before_the_events_of_their_time(
    file: EventFile, settings: KafkaSettings, make_topics: MakeTopics, pace: str
) -> None:
    (both,) = make_topics("both")  # one partition: its offsets are the order of sending
    # Settings that are checked forbid one topic for two roles.
    topics = TopicSettings().model_copy(update={"events": both, "labels": both})
    report = Replayer(file, settings, topics, LABELS, Pace.parse(pace), limit=700).run(
        threading.Event()
    )
    reached, last_mark = 0, 0
    events = labels = 0
    for message in read(settings, both):
        if is_mark(message):
            last_mark = read_progress(message.headers()) or 0
            assert last_mark in (reached, file.times[0] - 1)
            continue
        value = json.loads(message.value())
        if "event_id" in value:
            labels += 1
            assert value["time"] > reached, "an event at or after the label's time went before it"
            assert report.last_ms is not None
            assert value["time"] <= report.last_ms
            due = value["time"]
        else:
            events += 1
            if labels:
                assert value["at"] >= due, "a label went before an event that is older than it"
            reached = value["at"]
    assert (events, labels) == (700, report.labels)
    assert labels == len(expected_labels(file, int(file.times[699])))
    assert last_mark == file.times[699]


def test_features_on_the_stream_equal_those_of_the_file(
    spread: EventFile, settings: KafkaSettings, topics: TopicSettings, replay: Replay
) -> None:
    plan = FeaturePlan(
        TypeAdapter(list[FeatureDeclaration]).validate_python(
            [
                {
                    "name": "n",
                    "kind": "window",
                    "entity": "card",
                    "aggregate": "count",
                    "window": "2m",
                },
                {
                    "name": "risk",
                    "kind": "label",
                    "entity": "card",
                    "aggregate": "rate",
                    "window": "5m",
                    "delay": "1m",
                },
            ]
        ),
        CONTRACT,
    )
    replay(spread)
    intake = Intake(CONTRACT, topics.events, topics.labels, AlignmentSettings(), _now_ms)
    names = (topics.events, topics.labels)
    intake.assign([Position(name, p, 0) for name in names for p in range(3)])
    state = FeatureState(plan)
    ids: list[int] = []
    matrices = []

    def take() -> None:
        while (work := intake.take(200)) is not None:
            assert not work.bad
            ids.extend(work.events.ids)
            matrices.append(state.update(work.events, work.labels).matrix)

    for messages in consumed_in_step(settings, topics):
        intake.feed(messages)
        take()
    assert 0 < len(ids) < N  # alignment let some through before it had seen everything
    for name in names:
        for partition in range(3):
            intake.finish(name, partition)
    take()
    assert ids == spread.events.ids
    offline = np.concatenate([r.matrix for r in compute_features(spread, plan, DELAY_MS)])
    np.testing.assert_array_equal(np.concatenate(matrices), offline)
    assert (offline[:, 1] > 0).sum() > 100


def _now_ms() -> int:
    return 1_700_000_000_000


def consumed_in_step(settings: KafkaSettings, topics: TopicSettings) -> Iterator[list[Message]]:
    """Records as a consumer delivers them, 97 at a time, labels and events in turn."""
    messages = read(settings, topics.events), read(settings, topics.labels)
    for start in range(0, max(map(len, messages)), 97):
        for each in messages:
            yield each[start : start + 97]


def test_consecutive_spans_send_everything_once(
    file: EventFile, settings: KafkaSettings, topics: TopicSettings, replay: Replay
) -> None:
    first = int(file.times[0])
    cuts = [None, first + 100_000, first + 333_333, None]
    reports = [replay(file, start_ms=start, stop_ms=stop) for start, stop in pairwise(cuts)]
    assert [report.resume_from_ms for report in reports] == cuts[1:]
    assert sorted(sent_ids(settings, topics)) == list(range(N))
    assert sent_labels(settings, topics) == expected_labels(file, int(file.times[-1]))


@pytest.mark.parametrize("pace", ["max", "600x"])
def test_a_stopped_replay_goes_on_where_it_was(
    spread: EventFile, settings: KafkaSettings, topics: TopicSettings, replay: Replay, pace: str
) -> None:
    stop = threading.Event()

    def stop_soon(done: int, total: int) -> None:
        if done >= 400:
            stop.set()

    replayer = Replayer(spread, settings, topics, LABELS, Pace.parse(pace))
    report = replayer.run(stop, stop_soon)
    assert report.stopped
    assert 400 <= report.events < N
    assert len(sent_ids(settings, topics)) == report.events
    assert report.last_ms == spread.times[report.events - 1]
    assert report.last_ms is not None
    assert report.resume_from_ms is not None
    assert report.last_ms < report.resume_from_ms <= spread.times[report.events]
    rest = replay(spread, start_ms=report.resume_from_ms)
    assert report.events + rest.events == N
    assert sorted(sent_ids(settings, topics)) == list(range(N))
    assert sent_labels(settings, topics) == expected_labels(spread, int(spread.times[-1]))


def test_stopped_before_it_began(
    file: EventFile, settings: KafkaSettings, topics: TopicSettings
) -> None:
    stop = threading.Event()
    stop.set()
    report = Replayer(file, settings, topics, LABELS, Pace()).run(stop)
    assert (report.events, report.labels, report.stopped) == (0, 0, True)
    assert (report.last_ms, report.resume_from_ms) == (None, file.times[0])


def test_a_limit_may_cut_events_of_one_millisecond(
    file: EventFile, settings: KafkaSettings, topics: TopicSettings, replay: Replay
) -> None:
    report = replay(file, limit=701)
    assert (report.events, report.stopped) == (701, False)
    assert report.last_ms == report.resume_from_ms == file.times[701]
    replay(file, start_ms=report.resume_from_ms)
    ids = sent_ids(settings, topics)
    assert sorted(ids) == sorted([*range(N), file.events.ids[700]])


def test_labels_that_are_not_due_are_sent_on_demand(
    file: EventFile, settings: KafkaSettings, topics: TopicSettings, replay: Replay
) -> None:
    report = replay(file, limit=600, flush_labels=True)
    stop_due = int(file.times[599]) + DELAY_MS
    rows = [row for row in expected_labels(file, stop_due) if row[0] in set(file.events.ids[:600])]
    assert (report.labels, report.labels_not_due) == (len(rows), 0)
    assert sent_labels(settings, topics) == rows
    last = [m for m in read(settings, topics.labels) if m.partition() == 0][-1]
    assert read_progress(last.headers()) == file.times[599]


def test_without_labels_their_topic_is_left_alone(
    file: EventFile, settings: KafkaSettings, make_topics: MakeTopics
) -> None:
    (events,) = make_topics("events")
    topics = TopicSettings(events=events, labels="there-is-no-such-topic")
    unlabelled = open_events(file.path, CONTRACT)
    report = Replayer(unlabelled, settings, topics, LABELS, Pace(), send_labels="none").run(
        threading.Event()
    )
    assert (report.events, report.labels, report.marks) == (N, 0, 0)
    assert len(read(settings, events)) == N
    with pytest.raises(TopicError, match="no topic 'there-is-no-such-topic': make it"):
        Replayer(file, settings, topics, LABELS, Pace()).run(threading.Event())
    with pytest.raises(ReplayError, match=r"labels\.field, or replay without labels"):
        Replayer(unlabelled, settings, topics, LABELS, Pace())


def test_a_pace_takes_its_time(replay: Replay, file: EventFile) -> None:
    # No upper bounds: the machine may be busy. That it is steady is tested with a clock.
    assert replay(file, "1000/s", limit=300).seconds > 0.29
    report = replay(file, "600x", limit=301)  # 150 s of events
    assert report.seconds > 0.24
    assert report.marks >= 3 * 4


def test_an_empty_span_is_refused(file: EventFile) -> None:
    with pytest.raises(ReplayError, match=r"run from 2020-09-13T12:26:40\.000Z to 2020-"):
        Replayer(file, KafkaSettings(), TopicSettings(), LABELS, Pace(), start_ms=2**42)
    with pytest.raises(ReplayError, match="no event to replay"):
        Replayer(file, KafkaSettings(), TopicSettings(), LABELS, Pace(), limit=0)


def test_what_kafka_does_not_take_is_an_error(
    file: EventFile, settings: KafkaSettings, make_topics: MakeTopics
) -> None:
    (events,) = make_topics("events", config={"max.message.bytes": "100"})
    (labels,) = make_topics("labels")
    topics = TopicSettings(events=events, labels=labels)
    with pytest.raises(PublishError, match=f"'{events}': a record did not arrive"):
        Replayer(file, settings, topics, LABELS, Pace()).run(threading.Event())


def test_settings_that_make_no_producer_are_an_error(
    file: EventFile, kafka: str, topics: TopicSettings
) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka, producer={"compression.level": "soon"})
    with pytest.raises(PublishError, match=r"\[kafka\]: .*compression\.level"):
        Replayer(file, settings, topics, LABELS, Pace()).run(threading.Event())


def test_another_format_than_json_is_refused(file: EventFile) -> None:
    avro = open_events(file.path, CONTRACT.model_copy(update={"format": "avro"}), "fraud")
    with pytest.raises(ReplayError, match=r"event\.format is 'avro'.*set event\.format to 'json'"):
        Replayer(avro, KafkaSettings(), TopicSettings(), LABELS, Pace())
