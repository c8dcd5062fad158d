"""The scorer as a task: what one transaction's events become."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from scorer_desk import CONTRACT, PLAN, START, TOPICS, Bad, Desk, work_of

from inference.engine.protocol import Outputs
from inference.packages.package import ModelPackage
from inference.policy.policy import DECISIONS
from inference.serving import feature_log_records
from inference.serving.score_record import Score
from streams.dead_letters.letter import read_dead_letter
from streams.events.json_decoder import Decoder
from streams.feature_log import feature_matrix, feature_names, read_feature_log
from streams.features.label_batch import LabelBatch
from streams.features.repeat_filter import RepeatFilter
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.intake.input_batch import InputBatch
from streams.loop.fused.task import StateMismatchError
from streams.transactions.outcome import Committed


@pytest.fixture
def desk(model: ModelPackage) -> Desk:
    return Desk(model)


def expected(desk: Desk, *works: InputBatch) -> tuple[NDArray[np.float32], Outputs]:
    """Features and answers of the last work, after those before it."""
    state = FeatureState(PLAN)
    for work in works:
        matrix = state.update(work.events, work.labels).matrix.astype(np.float32)
    return matrix, desk.engine.infer(matrix)


def test_a_score_holds_all_of_the_answer(desk: Desk, model: ModelPackage) -> None:
    work = work_of(20)
    scores = desk.process(work)[TOPICS.scores]
    _, outputs = expected(desk, work)
    decisions = desk.policy.decide(outputs)
    assert len(scores.values) == 20
    for i, value in enumerate(scores.values):
        assert value is not None
        record = json.loads(value)
        timings = record.pop("timings")
        numbers = {name: np.float32(record.pop(name)) for name in Outputs._fields}
        assert numbers == {name: column[i] for name, column in outputs._asdict().items()}
        assert record == {
            "event_id": f"e{i}",
            "key": i % 5,
            "event_time": START + 60_000 * i,
            "decision": DECISIONS[decisions[i]],
            "model": model.short_id,
            "policy": "7",
            "feature_schema": PLAN.schema_hash,
            "arrived": START + 60_000 * i + 40,
            "late": False,
            "approximate": False,
            "arm": "champion",
            "share": 1.0,
        }
        assert (timings["batch"], timings["decode_us"]) == (20, 125_000)
        assert timings["scored"] > START
        assert set(timings) == {"scored", "batch", "decode_us", "features_us", "inference_us"}
        assert min(timings.values()) >= 0
        assert msgspec.json.decode(value, type=Score).event_id == f"e{i}"


def test_answers_go_to_their_events_partition_in_order_under_its_key(desk: Desk) -> None:
    work = work_of(20)
    scores = desk.process(work)[TOPICS.scores]
    assert list(scores.partitions) == work.partitions.tolist()
    assert list(scores.keys) == [str(i % 5).encode() for i in range(20)]
    assert scores.headers is None


def test_the_feature_log_is_one_record_per_partition_with_what_was_scored(
    desk: Desk, model: ModelPackage
) -> None:
    work = work_of(20)
    log = desk.process(work)[TOPICS.feature_log]
    features, outputs = expected(desk, work)
    decisions = desk.policy.decide(outputs)
    assert list(log.partitions) == [0, 1, 2]
    for partition, value in zip(log.partitions, log.values, strict=True):
        assert value is not None
        rows = np.flatnonzero(work.partitions == partition)
        table = read_feature_log(value)
        assert feature_names(table) == list(PLAN.names)
        np.testing.assert_array_equal(feature_matrix(table), features[rows])
        assert table["event_id"].to_pylist() == [f"e{i}" for i in rows]
        assert table["key"].to_pylist() == [i % 5 for i in rows]
        assert table["offset"].to_pylist() == work.offsets[rows].tolist()
        assert table["event_time"].cast("int64").to_pylist() == work.events.times[rows].tolist()
        for name, column in outputs._asdict().items():
            np.testing.assert_array_equal(table[name].to_numpy(), column[rows])
        assert table["decision"].to_pylist() == [DECISIONS[code] for code in decisions[rows]]
        assert table.schema.metadata[b"weir.model"] == model.short_id.encode()
        assert table.schema.metadata[b"weir.policy"] == b"7"
        assert table.schema.metadata[b"weir.feature_schema"] == PLAN.schema_hash.encode()
        assert table.schema.metadata[b"weir.events_topic"] == TOPICS.events.encode()


def test_a_long_feature_log_is_cut_below_the_limit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_log_records, "FEATURE_LOG_BYTES", 6_000)
    work = work_of(500, partitions=2)
    log = desk.process(work)[TOPICS.feature_log]
    assert len(log.values) > 8
    assert list(log.partitions) == sorted(log.partitions)
    assert max(len(value or b"") for value in log.values) < 6_000 + 4_000
    offsets: dict[int, list[int]] = {0: [], 1: []}
    for partition, value in zip(log.partitions, log.values, strict=True):
        offsets[partition] += read_feature_log(value or b"")["offset"].to_pylist()
    for partition, mine in offsets.items():
        assert mine == work.offsets[work.partitions == partition].tolist()


def test_what_came_too_late_or_after_much_was_forgotten_is_marked_and_counted(
    model: ModelPackage,
) -> None:
    desk = Desk(model, WindowSettings(allowed_lateness="10m", max_events_per_entity=10))
    desk.process(work_of(40, partitions=1))
    # Card 0 was seen at minute 35: minute 20 is too late. From minute 55 on each card has had 11.
    late, full = work_of(1, first=20, partitions=1), work_of(31, first=46, partitions=1)
    for work, name, flags in (
        (late, "late", [True]),
        (full, "approximate", [row >= 9 for row in range(31)]),
    ):
        answers = desk.answer(work)
        sent = {each.topic: each for each in answers.outgoing}
        scores = [json.loads(value or b"") for value in sent[TOPICS.scores].values]
        table = read_feature_log(sent[TOPICS.feature_log].values[0] or b"")
        assert [score[name] for score in scores] == table[name].to_pylist() == flags
        assert desk.samples()[f"weir_{name}_events_total", ()] == 0, "nothing is visible yet"
        answers.when_visible(Committed(0.0, 0.0))
        assert desk.samples()[f"weir_{name}_events_total", ()] == sum(flags)


def test_windows_go_on_from_batch_to_batch(desk: Desk) -> None:
    first, second = work_of(20), work_of(20, first=20)
    desk.process(first)
    log = desk.process(second)[TOPICS.feature_log]
    features, _ = expected(desk, first, second)
    table = read_feature_log(log.values[0] or b"")
    np.testing.assert_array_equal(feature_matrix(table), features[second.partitions == 0])
    assert feature_matrix(table)[-1, 1] == 8


def test_labels_count_before_their_event(desk: Desk) -> None:
    known = LabelBatch(["e0", "e5"], np.array([1.0, 0.0]), np.array([0, 0]))
    day = 24 * 60
    first, later = work_of(20), work_of(5, first=2 * day, labels=known)
    desk.process(first)
    table = read_feature_log(desk.process(later)[TOPICS.feature_log].values[0] or b"")
    features, _ = expected(desk, first, later)
    np.testing.assert_array_equal(feature_matrix(table), features[later.partitions == 0])
    risk = dict(zip(table["key"].to_pylist(), feature_matrix(table)[:, 2], strict=True))
    assert risk[0] > 0 == risk[3]


def test_restored_events_are_remembered_and_not_answered(desk: Desk) -> None:
    first, second = work_of(20), work_of(20, first=20)
    desk.process(work_of(100, first=300))
    desk.scorer.reset()
    desk.scorer.restore(first)
    log = desk.process(second)[TOPICS.feature_log]
    features, _ = expected(desk, first, second)
    table = read_feature_log(log.values[0] or b"")
    np.testing.assert_array_equal(feature_matrix(table), features[second.partitions == 0])
    seen = desk.samples()
    assert seen["weir_restored_events_total", ()] == 20
    assert seen["weir_events_total", ()] == 0, "nothing is visible yet"


def test_bad_records_become_dead_letters(desk: Desk) -> None:
    outgoing = desk.process(work_of(3, bad=2))
    letters = outgoing[TOPICS.dead_letters]
    assert len(letters.values) == 2
    assert letters.headers is not None
    for i in range(2):
        letter = read_dead_letter(Read(letters.keys[i], letters.values[i], letters.headers[i]))
        assert (letter.key, letter.value) == (b"17", b"noise %d" % i)
        assert letter.headers == [("trace", b"abc")]
        assert (letter.topic, letter.partition, letter.offset) == (TOPICS.events, 2, 500 + i)
        assert (letter.reason, letter.field) == ("not_json", None)
        assert "noise" in letter.detail
        assert letter.timestamp_ms == START
    assert len(outgoing[TOPICS.scores].values) == 3


class Read(Bad):
    """A dead letter as a consumer reads it."""

    def __init__(self, key: bytes | None, value: bytes | None, headers: Any) -> None:
        self._own = key, value, headers

    def key(self) -> Any:
        return self._own[0]

    def value(self) -> Any:
        return self._own[1]

    def headers(self) -> Any:
        return self._own[2]


def test_a_huge_bad_record_fits_into_a_topic_of_kafkas_defaults(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bad, "value", lambda self: b"x" * 3_000_000)
    letters = desk.process(work_of(1, bad=1))[TOPICS.dead_letters]
    assert letters.headers is not None
    letter = read_dead_letter(Read(None, letters.values[0], letters.headers[0]))
    assert (letter.truncated_from, len(letter.value or b"") > 990_000) == (3_000_000, True)
    headers = sum(len(name) + len(value or b"") for name, value in letters.headers[0])
    assert len(letters.values[0] or b"") + headers < 1_000_000


def test_without_bad_records_there_are_no_dead_letters(desk: Desk) -> None:
    assert TOPICS.dead_letters not in desk.process(work_of(3))


def test_nothing_but_bad_records_or_labels_is_answered_too(desk: Desk) -> None:
    labels = LabelBatch(["e0"], np.array([1.0]), np.array([0]))
    for work in (work_of(0, bad=4), work_of(0, labels=labels)):
        outgoing = desk.process(work)
        assert outgoing[TOPICS.scores].values == []
        assert TOPICS.feature_log not in outgoing
    assert len(desk.process(work_of(0, bad=4))[TOPICS.dead_letters].values) == 4


def test_what_is_committed_is_counted_once_and_only_then(model: ModelPackage) -> None:
    desk = Desk(model, review_probability=0.0, decline_probability=0.999)
    answers = desk.answer(work_of(20, bad=3, labels=LabelBatch(["e0"], np.ones(1), np.zeros(1))))
    counted = [name for (name, _), value in desk.samples().items() if value and "total" in name]
    assert counted == []
    desk.scorer.aborted("for a test")
    again = desk.answer(work_of(20, bad=3))
    answers.when_visible(Committed(0.02, 0.3))
    again.when_visible(Committed(0.02, 0.3))
    seen = desk.samples()
    assert seen["weir_events_total", ()] == 40
    assert seen["weir_labels_total", ()] == 1
    by_decision = [seen.get(("weir_decisions_total", (("decision", d),)), 0) for d in DECISIONS]
    assert (by_decision[0], sum(by_decision)) == (0, 40)
    assert seen["weir_dead_letters_total", (("reason", "not_json"),)] == 6
    assert seen["weir_transactions_total", (("outcome", "committed"),)] == 2
    assert seen["weir_transactions_total", (("outcome", "aborted"),)] == 1
    for stage in ("decode", "features", "inference", "encode", "produce", "commit"):
        assert seen["weir_stage_seconds_count", (("stage", stage),)] == 2
    assert seen["weir_stage_seconds_sum", (("stage", "decode"),)] == pytest.approx(0.25)
    assert seen["weir_stage_seconds_sum", (("stage", "commit"),)] == pytest.approx(0.6)
    assert seen["weir_batch_records_sum", (("kind", "events"),)] == 40
    assert seen["weir_latency_seconds_count", (("path", "end_to_end"),)] == 40
    assert seen["weir_entities", (("entity", "card"),)] == 5
    assert seen["weir_state_bytes", ()] > 0
    info = {"model": model.short_id, "policy": "7", "feature_schema": PLAN.schema_hash}
    assert seen["weir_model_info", tuple(sorted(info.items()))] == 1
    engine = {"backend": "cpu", "device": "cpu", "precision": "float32", "route": "onnxruntime"}
    assert seen["weir_engine_info", tuple(sorted(engine.items()))] == 1


def test_several_batches_in_one_transaction_are_one_transaction(model: ModelPackage) -> None:
    """So it is with the partitions of a staged scorer."""
    desk = Desk(model)
    for count in (20, 5):
        work = work_of(count)
        rows = FeatureState(PLAN, WindowSettings()).update(work.events, work.labels)
        desk.scorer._answerer.answer(work, rows, 0.0).when_visible(Committed(0.02, 0.3))
    desk.metrics.count_transaction(Committed(0.02, 0.3))
    seen = desk.samples()
    assert seen["weir_stage_seconds_count", (("stage", "inference"),)] == 2
    assert seen["weir_stage_seconds_count", (("stage", "commit"),)] == 1
    assert seen["weir_stage_seconds_sum", (("stage", "produce"),)] == pytest.approx(0.02)
    assert seen["weir_batch_records_count", (("kind", "events"),)] == 1
    assert seen["weir_batch_records_sum", (("kind", "events"),)] == 25
    assert seen["weir_transactions_total", (("outcome", "committed"),)] == 1


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("amount", [0.0, -1e300, 1e38, 1.7e308])
def test_no_amount_leaves_a_record_that_cannot_be_read(desk: Desk, amount: float) -> None:
    value = json.dumps({"id": "e", "card": 1, "at": START, "amount": amount})
    events = Decoder(CONTRACT).decode([value.encode()]).events
    (record,) = desk.process(replace(work_of(1), events=events))[TOPICS.scores].values
    assert msgspec.json.decode(record or b"", type=Score).decision in DECISIONS


def test_warming_up_leaves_no_trace(desk: Desk) -> None:
    desk.scorer.warm_up()
    work = work_of(20)
    log = desk.process(work)[TOPICS.feature_log]
    features, _ = expected(desk, work)
    np.testing.assert_array_equal(
        feature_matrix(read_feature_log(log.values[0] or b"")), features[work.partitions == 0]
    )


def test_ids_are_part_of_the_state(model: ModelPackage) -> None:
    """What is written down with them is refused without them, and the other way round."""
    repeats = RepeatFilter(60_000, 1_000_000, texts=True)
    desk, plain = Desk(model, repeats=repeats), Desk(model)
    work = work_of(20)
    at = np.flatnonzero(work.partitions == 0)
    ids = [work.events.ids[i] for i in at]
    assert repeats.take_in(0, ids, work.events.times[at], work.offsets[at]).all()
    repeats.note_taken(0, int(work.offsets[at[-1]]) + 1)
    desk.scorer.savepoint()
    desk.process(work)
    plain.process(work)
    assert desk.scorer.memory_ms == plain.scorer.memory_ms
    desk.scorer.commit()
    dumped, without = ([bytes(each) for each in d.scorer.dump()] for d in (desk, plain))

    other = RepeatFilter(60_000, 1_000_000, texts=True)
    restored = Desk(model, repeats=other)
    restored.scorer.load(dumped)
    assert len(other) == 1  # events are a minute apart
    assert not other.take_in(0, ids[-1:], work.events.times[at[-1:]], np.array([9_999]))[0]
    assert [bytes(each) for each in plain.scorer.dump()] == without
    plain.scorer.load(without)
    with pytest.raises(StateMismatchError, match=r"deduplicate 1m, wanted off"):
        plain.scorer.load(dumped)
    with pytest.raises(StateMismatchError, match=r"deduplicate off, wanted 1m"):
        restored.scorer.load(without)
    assert len(other) == 0
    longer = Desk(model, repeats=RepeatFilter(400 * 86_400_000, 1_000_000, texts=True)).scorer
    assert longer.memory_ms == 400 * 86_400_000
    with pytest.raises(StateMismatchError, match=r"deduplicate 1m, wanted 400d"):
        longer.load(dumped)


def test_ids_that_had_no_room_are_counted_once_that_is_committed(model: ModelPackage) -> None:
    repeats = RepeatFilter(86_400_000, 5, texts=True)
    desk, work = Desk(model, repeats=repeats), work_of(20)

    def take() -> float:
        desk.scorer.savepoint()
        at = np.flatnonzero(work.partitions == 0)
        ids = [work.events.ids[i] for i in at]
        assert repeats.take_in(0, ids, work.events.times[at], work.offsets[at]).all()
        repeats.note_taken(0, int(work.offsets[at[-1]]) + 1)
        desk.scorer.savepoint()
        desk.process(work)
        return desk.samples()["weir_forgotten_event_ids_total", ()]

    assert take() == 0
    desk.scorer.rollback()
    repeats.go_back(0, 0)
    assert take() == 0
    desk.scorer.commit()
    desk.scorer.commit()
    assert desk.samples()["weir_forgotten_event_ids_total", ()] == 3  # of 8


def test_repeats_are_counted_once_they_are_committed(desk: Desk) -> None:
    answers = desk.answer(replace(work_of(3), repeats=7))
    assert desk.samples()["weir_duplicate_events_total", ()] == 0
    answers.when_visible(Committed(0.0, 0.0))
    assert desk.samples()["weir_duplicate_events_total", ()] == 7
