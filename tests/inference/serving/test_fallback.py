"""A deadline that the model can't keep: the policy's fallback answers, and says so."""

import json
from dataclasses import replace
from time import sleep, time
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from scorer_desk import PLAN, TOPICS, Desk, work_of

from inference.backends.cpu import CpuEngine
from inference.engine.protocol import Outputs
from inference.packages.package import ModelPackage
from inference.serving.score_record import Score
from streams.feature_log import read_feature_log
from streams.intake.input_batch import InputBatch
from streams.transactions.outcome import Committed


def arriving(work: InputBatch, *ages_ms: int) -> InputBatch:
    now = round(time() * 1e3)
    return replace(work, arrived=now - np.resize(np.array(ages_ms, np.int64), len(work.events)))


class Slow(CpuEngine):
    """Takes its time for every call."""

    calls = 0
    seconds = 0.0

    def infer(self, matrix: NDArray[Any]) -> Outputs:
        self.calls += 1
        sleep(self.seconds)
        return super().infer(matrix)


def desk_of(model: ModelPackage, seconds: float, **policy: Any) -> tuple[Desk, Slow]:
    desk = Desk(model, **policy)
    engine = Slow(model, PLAN.names)
    engine.seconds = seconds
    serving = desk.scorer._answerer.serving
    desk.scorer._answerer.swap(replace(serving, engine=engine))
    for _ in range(3):
        desk.scorer._answerer.serving.infer(np.zeros((20, len(PLAN.names)), np.float32))
    return desk, engine


def test_only_those_that_would_be_late_get_the_fallback(model: ModelPackage) -> None:
    desk, engine = desk_of(model, 0.05, deadline="10s", fallback="decline")
    engine.calls = 0
    work = arriving(work_of(20), 1_000, 30_000)
    answers = desk.answer(work)
    sent = {each.topic: each for each in answers.outgoing}
    assert engine.calls == 1
    late = [place % 2 == 1 for place in range(20)]
    for value, is_late in zip(sent[TOPICS.scores].values, late, strict=True):
        record = json.loads(value or b"")
        assert msgspec.json.decode(value or b"", type=Score).event_id == record["event_id"]
        assert ("fallback" in record) == is_late
        if is_late:
            assert record["fallback"] == "deadline"
            assert record["decision"] == "decline"
            assert (record["score"], record["probability"], record["anomaly"]) == (None, None, None)
        else:
            assert 0 <= record["score"] <= 1
    for partition, value in zip(
        sent[TOPICS.feature_log].partitions, sent[TOPICS.feature_log].values, strict=True
    ):
        table = read_feature_log(value or b"")
        rows = np.flatnonzero(work.partitions == partition)
        assert table["fallback"].to_pylist() == [late[row] for row in rows]
        np.testing.assert_array_equal(np.isnan(table["score"].to_numpy()), table["fallback"])
    counter = ("weir_fallbacks_total", {"reason": "deadline"})
    assert not desk.registry.get_sample_value(*counter), "nothing is visible yet"
    answers.when_visible(Committed(0.0, 0.0))
    assert desk.registry.get_sample_value(*counter) == 10


def test_an_engine_that_is_too_slow_is_left_out(model: ModelPackage) -> None:
    desk, engine = desk_of(model, 0.2, deadline="100ms", fallback="approve")
    engine.calls = 0
    scores = desk.process(arriving(work_of(20), 1))[TOPICS.scores]
    assert engine.calls == 0
    decisions = [json.loads(value or b"")["decision"] for value in scores.values]
    assert decisions == ["approve"] * 20


def test_answers_that_wait_for_the_transaction_before_are_late_for_it(model: ModelPackage) -> None:
    desk, engine = desk_of(model, 0.001, deadline="300ms", fallback="approve")
    for waited_s, asked in ((0.0, 1), (0.5, 1), (0.5, 0)):
        engine.calls = 0
        answers = desk.answer(arriving(work_of(20), 1))
        assert engine.calls == asked
        answers.when_visible(Committed(0.001, 0.001, waited_s))


def test_without_a_deadline_the_slowest_model_answers(model: ModelPackage) -> None:
    desk, _ = desk_of(model, 0.05)
    scores = desk.process(arriving(work_of(20), 50_000))[TOPICS.scores]
    assert not any("fallback" in json.loads(value or b"") for value in scores.values)


@pytest.mark.parametrize("age_ms", [61_000, 86_400_000])
def test_history_is_scored_by_the_model(model: ModelPackage, age_ms: int) -> None:
    desk, _ = desk_of(model, 0.01, deadline="50ms")
    scores = desk.process(arriving(work_of(20), age_ms))[TOPICS.scores]
    assert all(json.loads(value or b"")["score"] is not None for value in scores.values)
