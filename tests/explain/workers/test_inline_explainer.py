"""Reasons that go with the score: those of the explainer, within a budget."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np
import pytest
from answered import writer_of
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from scorer_desk import PLAN, TOPICS, Desk, traced_work, work_of

from explain.errors import ExplainError
from explain.lime.settings import ExplainSettings
from explain.record.record import read
from explain.workers.inline_explainer import BudgetedExplainer
from explain.writing.flagged import FlaggedEvents, read_flagged
from explain.writing.key_ring import KeyRing
from explain.writing.record_writer import RecordWriter
from inference.engine.protocol import EngineError
from inference.packages.package import ModelPackage
from inference.routing.arm import Arm
from inference.serving.score_record import Score
from streams.tracing.settings import TracingSettings
from streams.tracing.tracer import Tracer
from streams.transactions.outcome import Outgoing

DECISIONS = ("approve", "review", "decline")


SETTINGS = ExplainSettings(mode="inline", samples=128, decisions=DECISIONS, budget="60s")


@dataclass
class World:
    model: ModelPackage
    desk: Desk
    ring: KeyRing | None
    writer: RecordWriter
    sent: dict[str, Outgoing] = field(default_factory=dict)

    def explain_by(self, writer_of: Callable[[ModelPackage, int], RecordWriter]) -> None:
        self.registry = CollectorRegistry()
        self.inline = BudgetedExplainer(
            SETTINGS,
            topic=TOPICS.explanations,
            events_topic=TOPICS.events,
            names=PLAN.names,
            writer_of=writer_of,
            registry=self.registry,
        )
        self.inline.prepare(self.model, 7)
        self.desk.scorer._answerer._explains = self.inline

    def answer(self, count: int) -> dict[str, list[bytes]]:
        self.sent = self.desk.process(work_of(count))
        return {topic: [value or b"" for value in out.values] for topic, out in self.sent.items()}

    def counted(self, outcome: str) -> float:
        name = "weir_inline_explanations_total"
        return self.registry.get_sample_value(name, {"outcome": outcome}) or 0.0


@pytest.fixture
def world(model: ModelPackage, tmp_path: Path) -> Iterator[World]:
    with KeyRing.make(tmp_path / "ring") as ring:
        writer = writer_of(model, SETTINGS, ring=ring)
        world = World(model, Desk(model), ring, writer)
        world.explain_by(lambda package, number: writer)
        yield world


def test_scores_carry_the_reasons_and_the_record_is_the_explainers(world: World) -> None:
    sent = world.answer(30)
    records = sent[TOPICS.explanations]
    scores = [msgspec.json.decode(value, type=Score) for value in sent[TOPICS.scores]]
    assert len(scores) == 30
    by_id = {read(record).id: record for record in records}
    for score in scores:
        attached = score.explanation
        assert attached is not msgspec.UNSET
        assert attached.status == "attached"
        record = json.loads(by_id.pop(attached.id))
        assert record["event"]["id"] == score.event_id
        assert record["decision"]["outcome"] == score.decision
        assert json.loads(bytes(attached.reasons)) == record["reasons"]
        assert attached.confident == record["explanation"]["confident"]
    assert not by_id
    again = []
    assert world.ring is not None
    explainers = writer_of(world.model, SETTINGS, ring=KeyRing(world.ring.path))
    log = world.sent[TOPICS.feature_log]
    for partition, value in zip(log.partitions, sent[TOPICS.feature_log], strict=True):
        events = read_flagged(value, partition, DECISIONS)
        again += [data for _, data in explainers.write(events)]
    assert sorted(again) == sorted(records)
    assert {read(record).schema for record in records} == {"weir.explanation/3"}
    assert world.counted("attached") == 30


def test_the_record_belongs_to_the_trace_of_its_score(model: ModelPackage) -> None:
    writer = writer_of(model, SETTINGS)
    with Tracer(TracingSettings(), InMemorySpanExporter(), lambda *_: None) as tracer:
        world = World(model, Desk(model, tracer=tracer), None, writer)
        world.explain_by(lambda package, number: writer)
        sent = world.desk.process(traced_work(8))
    headers = sent[TOPICS.scores].headers
    assert sent[TOPICS.explanations].headers == headers
    assert [each is not None for each in headers or ()] == [True, True, False, False] * 2


def test_nobody_waits_for_the_reasons_of_an_arm_that_is_tried(world: World) -> None:
    answerer = world.desk.scorer._answerer
    arm = Arm("canary", answerer.serving, lambda: None)
    answerer.route("test", [("canary", arm)], [1.0])
    sent = world.answer(10)
    assert [json.loads(value)["explanation"] for value in sent[TOPICS.scores]] == [
        {"status": "pending"}
    ] * 10
    assert TOPICS.explanations not in sent
    assert {json.loads(value)["arm"] for value in sent[TOPICS.scores]} == {"canary"}


def test_what_there_is_no_time_for_is_pending(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clock() -> Iterator[float]:
        now = perf_counter()
        for step in range(10_000):
            yield now + 20 * step  # each explanation looks twice: 60 s are over at the second

    ticks = clock()
    monkeypatch.setattr("explain.workers.inline_explainer.perf_counter", lambda: next(ticks))
    sent = world.answer(20)
    scores = [json.loads(value) for value in sent[TOPICS.scores]]
    statuses = [score["explanation"]["status"] for score in scores]
    attached = statuses.count("attached")
    assert 0 < attached < 20
    assert statuses == ["attached"] * attached + ["pending"] * (20 - attached)
    assert scores[-1]["explanation"] == {"status": "pending"}
    assert len(sent[TOPICS.explanations]) == attached
    assert (world.counted("attached"), world.counted("pending")) == (attached, 20 - attached)


@pytest.mark.parametrize("error", [ExplainError, EngineError])
def test_a_model_that_can_t_be_explained_answers_all_the_same(
    world: World, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing is tried for its events that was in vain before it served."""
    asked = []

    def refuse(package: ModelPackage, number: int) -> RecordWriter:
        asked.append((package.id, number))
        raise error("too few samples for so many groups")

    world.explain_by(refuse)
    for _ in range(2):
        sent = world.answer(10)
        assert [json.loads(value)["explanation"] for value in sent[TOPICS.scores]] == [
            {"status": "failed"}
        ] * 10
        assert TOPICS.explanations not in sent
    assert asked == [(world.model.id, 7)]
    assert world.counted("failed") == 20
    assert caplog.text.count("can't explain the answers") == 1


def test_a_model_that_serves_again_is_made_ready_once(world: World) -> None:
    asked = []
    world.explain_by(lambda package, number: asked.append(number) or world.writer)
    world.inline.prepare(world.model, 7)
    assert asked == [7]


def test_only_the_latest_models_are_kept_ready(world: World) -> None:
    models = [replace(world.model, id=f"{digit}" * 64) for digit in range(9)]
    asked = []
    world.explain_by(lambda package, number: asked.append(package.id[0]) or world.writer)
    for model in models:
        world.inline.prepare(model, 1)
    asked.clear()
    for digit in (6, 8, 7):  # back and forth
        world.inline.prepare(models[digit], 1)
    assert asked == []
    world.inline.prepare(models[0], 1)
    assert asked == ["0"]
    world.inline.prepare(models[7], 1)  # used lately
    assert asked == ["0"]


def test_the_champion_stays_ready_however_many_arms_come_and_go(world: World) -> None:
    for digit in range(9):
        world.answer(2)
        world.inline.prepare(replace(world.model, id=f"{digit}" * 64), 1)
    world.answer(2)
    assert world.counted("failed") == 0
    assert world.counted("attached") == 20


def test_an_event_that_can_t_be_explained_is_answered_and_the_others_are_explained(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write, errors = world.writer.write, {"e3": ExplainError, "e5": EngineError, "e8": EngineError}

    def fails_for_some(events: FlaggedEvents) -> list[tuple[str | None, bytes]]:
        if error := errors.get(str(events.ids[0])):
            raise error("the model has no answer to a sample")
        return write(events)

    monkeypatch.setattr(world.writer, "write", fails_for_some)
    sent = world.answer(10)
    scores = [json.loads(value) for value in sent[TOPICS.scores]]
    assert {
        score["event_id"] for score in scores if score["explanation"] == {"status": "failed"}
    } == set(errors)
    assert len(scores) == 10
    ids = [json.loads(record)["event"]["id"] for record in sent[TOPICS.explanations]]
    assert ids == [score["event_id"] for score in scores if score["event_id"] not in errors]
    assert (world.counted("attached"), world.counted("failed")) == (7, 3)
    assert world.counted("pending") == 0
    assert caplog.text.count("can't explain the answers") == 1


def test_only_the_decisions_of_the_settings_are_explained(world: World) -> None:
    world.inline._codes = [1, 2]
    sent = world.answer(200)
    scores = [json.loads(value) for value in sent[TOPICS.scores]]
    for score in scores:
        assert ("explanation" in score) == (score["decision"] != "approve")
    flagged = sum(score["decision"] != "approve" for score in scores)
    assert len(sent.get(TOPICS.explanations, [])) == flagged
    assert np.isfinite(world.counted("attached"))
