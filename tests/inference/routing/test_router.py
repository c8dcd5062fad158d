"""Arms beside the champion: whatever they do, each event has an answer in time."""

from collections.abc import Iterator, Sequence
from threading import Event
from time import monotonic, sleep, time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.engine.protocol import EngineInfo, Outputs
from inference.policy.policy import Policy, PolicySettings
from inference.routing.arm import FAILURES, MOST_IN_A_ROW, Arm
from inference.routing.assignment import Assignment
from inference.routing.deadline import Deadlines
from inference.routing.latency_spans import LatencySpan
from inference.routing.router import Router
from inference.routing.served_model import ServedModel
from inference.routing.verdicts import Verdicts

KEYS = list(range(200))
NOW = np.zeros(len(KEYS), np.int64)  # long ago: nobody waits for the answers
FEATURES = np.arange(400, dtype=np.float32).reshape(200, 2) / 400


class Model:
    """Answers with the first feature plus `shift`, unless it is told to do something else."""

    info = EngineInfo("test", "cpu", "float32", 2)

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift
        self.calls = 0
        self.seconds = 0.0
        self.error: BaseException | None = None
        self.broken: NDArray[np.intp] = np.array([], np.intp)
        self.going_on = Event()
        self.going_on.set()

    def infer(self, matrix: NDArray[Any]) -> Outputs:
        self.calls += 1
        sleep(self.seconds)
        self.going_on.wait(30)
        if self.error is not None:
            raise self.error
        score = matrix[:, 0] * np.float32(0.5) + np.float32(self.shift)
        probability = score.copy()
        probability[self.broken] = np.nan
        return Outputs(score, probability, score)

    def close(self) -> None:
        pass


def served(name: str, model: Model, **policy: Any) -> ServedModel:
    thresholds = SimpleNamespace(review=0.25, decline=0.9)
    settings = PolicySettings(**policy)
    return ServedModel.of(name * 64, model, Policy(settings, thresholds))  # type: ignore[arg-type]


@pytest.fixture
def canary() -> Iterator[Model]:
    model = Model(0.25)
    yield model
    model.going_on.set()


def router_of(
    *arms: Arm, shares: Sequence[float] = (0.2,), patience_ms: int = 5_000, **policy: Any
) -> Router:
    router = Router(served("c", Model(), **policy), Deadlines(60_000), patience_ms)
    router.route("test", [(arm.name, arm) for arm in arms], shares)
    return router


def arm_of(model: Model, name: str = "canary") -> Arm:
    return Arm(name, served("d", model), lambda: None)


def decide(router: Router, arrived: NDArray[np.int64] = NOW) -> Verdicts:
    return router.decide(KEYS, arrived, FEATURES)


def of_canary() -> NDArray[np.bool_]:
    return Assignment("test", [0.2]).arms(KEYS) == 1


def test_each_event_is_answered_by_the_arm_of_its_key(canary: Model) -> None:
    said = decide(router_of(arm_of(canary)))
    own = of_canary()
    assert 10 < own.sum() < 100
    np.testing.assert_array_equal(said.arm == 1, own)
    np.testing.assert_array_equal(said.by, said.arm)
    expected = FEATURES[:, 0] * np.float32(0.5) + np.where(own, np.float32(0.25), 0)
    np.testing.assert_array_equal(said.outputs.score, expected.astype(np.float32))
    np.testing.assert_array_equal(said.decisions, (said.outputs.score >= 0.25).astype(np.int8))
    assert set(zip(said.models(), own.tolist(), strict=True)) == {
        ("d" * 12, True),
        ("c" * 12, False),
    }
    assert said.routes.shares.tolist() == pytest.approx([0.8, 0.2])
    assert not said.failure.any()


def test_several_arms_and_a_champion_that_has_no_keys() -> None:
    models = [Model(0.1), Model(0.2)]
    arms = [
        Arm(f"arm{place}", served("de"[place], each), lambda: None)
        for place, each in enumerate(models)
    ]
    said = decide(router_of(*arms, shares=(0.5, 0.5)))
    assert set(said.by.tolist()) == {1, 2}
    assert [each.calls for each in models] == [1, 1]
    assert [place for place, _, _ in said.answered_by()] == [1, 2]


def stood_in(said: Verdicts, why: str) -> None:
    own = of_canary()
    np.testing.assert_array_equal(said.failure == FAILURES.index(why) + 1, own)  # type: ignore[arg-type]
    assert not said.by.any()
    np.testing.assert_array_equal(said.outputs.score, FEATURES[:, 0] * np.float32(0.5))
    np.testing.assert_array_equal(said.arm == 1, own)


def test_one_that_is_not_ready_is_stood_in_for(canary: Model) -> None:
    router = router_of()
    router.route("test", [("canary", None)], [0.2])
    stood_in(decide(router), "absent")


def test_an_error_stops_the_arm_and_the_champion_answers(canary: Model) -> None:
    canary.error = RuntimeError("out of its mind")
    arm = arm_of(canary)
    router = router_of(arm)
    stood_in(decide(router), "error")
    assert "out of its mind" in arm.stopped
    canary.error = None
    stood_in(decide(router), "stopped")
    assert canary.calls == 1


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_what_ends_a_process_stops_the_arm_only(canary: Model, error: BaseException) -> None:
    canary.error = error
    router = router_of(arm := arm_of(canary))
    stood_in(decide(router), "error")
    assert type(error).__name__ in arm.stopped


@pytest.mark.parametrize("answer", [np.zeros(1, np.float32), np.zeros((40, 1), np.float32), None])
def test_answers_of_another_shape_are_none(
    canary: Model, monkeypatch: pytest.MonkeyPatch, answer: NDArray[np.float32] | None
) -> None:
    odd = np.array(["x"] * int(of_canary().sum())) if answer is None else answer
    monkeypatch.setattr(canary, "infer", lambda matrix: Outputs(odd, odd, odd))
    router = router_of(arm := arm_of(canary))
    stood_in(decide(router), "error")
    assert "score has shape" in arm.stopped


def test_rows_without_a_number_are_the_champion_s(canary: Model) -> None:
    canary.broken = np.array([3])
    router = router_of(arm := arm_of(canary))
    for round in range(MOST_IN_A_ROW):
        assert not arm.stopped, round
        said = decide(router)
        lost = np.flatnonzero(of_canary())[3]
        assert np.flatnonzero(said.failure).tolist() == [lost]
        assert np.flatnonzero(said.by == 1).size == of_canary().sum() - 1
        assert np.isfinite(said.outputs.probability).all()
    assert "no number" in arm.stopped
    assert arm.counts.nan == MOST_IN_A_ROW


def test_one_batch_that_fails_now_and_then_stops_nothing(canary: Model) -> None:
    router = router_of(arm := arm_of(canary))
    for round in range(4 * MOST_IN_A_ROW):
        canary.broken = np.array([0] if round % MOST_IN_A_ROW else [], np.intp)
        decide(router)
    assert not arm.stopped


def test_one_that_hangs_holds_nobody_up_and_is_stopped(
    canary: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.routing.arm._HANGS_S", 0.5)
    canary.going_on.clear()
    interrupted = Event()
    arm = Arm("canary", served("d", canary), interrupted.set)
    router = router_of(arm, patience_ms=50)
    until = monotonic() + 30
    while not arm.stopped:
        start = monotonic()
        stood_in(decide(router), "late")
        assert monotonic() - start < 5
        assert monotonic() < until
    assert "has not answered a batch" in arm.stopped
    assert interrupted.is_set()
    assert canary.calls == 1, "it is asked no second question before it has answered the first"
    canary.going_on.set()
    stood_in(decide(router), "stopped")


def test_one_that_is_always_too_slow_is_stopped(canary: Model) -> None:
    router = router_of(arm := arm_of(canary), patience_ms=1)
    canary.seconds = 0.05
    for asked in range(1, MOST_IN_A_ROW + 1):
        assert not arm.stopped
        stood_in(decide(router), "late")
        assert canary.calls <= asked
        while not (arm._asked is None or arm._asked.done()):
            sleep(0.01)
    assert "in time" in arm.stopped


def test_where_there_is_a_deadline_the_champion_answers_in_time(canary: Model) -> None:
    canary.going_on.clear()
    router = Router(served("c", Model(), deadline="40ms"), Deadlines(60_000))
    arm = arm_of(canary)
    router.route("test", [("canary", arm)], [0.2])
    arrived = np.full(len(KEYS), round(time() * 1e3), np.int64)
    start = monotonic()
    stood_in(decide(router, arrived), "late")
    waited = monotonic() - start
    assert waited < 5
    assert arm.counts.late == of_canary().sum()


def test_the_champion_s_own_events_are_not_late_because_of_an_arm(canary: Model) -> None:
    canary.going_on.clear()
    router = Router(served("c", Model(), deadline="1s"), Deadlines(60_000), patience_ms=20_000)
    router.route("test", [("canary", arm_of(canary))], [0.2])
    now = round(time() * 1e3)
    arrived = np.where(of_canary(), now, now - 980).astype(np.int64)
    said = decide(router, arrived)
    assert not said.fallback.any()
    assert time() * 1e3 < now + 10_000, "the patience with an arm is 20 s, and there are 20 ms"


def test_all_that_wait_for_arms_are_the_champion_s_in_time(canary: Model) -> None:
    canary.going_on.clear()
    champion = Model()
    router = Router(served("c", champion, deadline="1s"), Deadlines(60_000), patience_ms=20_000)
    arms = [arm_of(canary, "canary"), arm_of(canary, "b")]
    router.route("test", [(arm.name, arm) for arm in arms], [0.4, 0.4])
    for _ in range(5):
        champion.seconds = 0.015  # what it takes, whatever the batch
        router.champion.infer(FEATURES)
    now = round(time() * 1e3)
    said = decide(router, np.full(len(KEYS), now - 930, np.int64))
    assert not said.fallback.any()
    assert not said.by.any()
    assert time() * 1e3 < now + 10_000
    assert champion.calls == 5 + 2, "once for its own, once for all that is left"


def test_a_policy_decides_by_the_thresholds_of_the_model_that_answered(canary: Model) -> None:
    strict = SimpleNamespace(review=0.0, decline=0.26)
    serving = ServedModel.of("d" * 64, canary, Policy(PolicySettings(), strict))  # type: ignore[arg-type]
    said = decide(router_of(Arm("canary", serving, lambda: None)))
    own = of_canary()
    expected = np.where(said.outputs.score[own] >= np.float32(0.26), 2, 1)
    np.testing.assert_array_equal(said.decisions[own], expected)


def test_a_slow_arm_is_told_by_the_champion_s_times_of_the_same_span(
    canary: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.routing.latency_spans._BATCHES", 150)
    router = router_of(arm := arm_of(canary))
    for _ in range(150):
        decide(router)
    assert arm.counts.timed >= 145
    assert not arm.stopped

    span = LatencySpan()
    for number in range(150):
        span.observe(rows=160, seconds=0.002 if number % 2 else 0.001)
    times = [(40, 0.001)] * 10 + [(40, 0.0022)] * 3 + [(200, 9.0)] * 5
    monkeypatch.setattr(arm, "take_times", lambda: times)
    before = arm.counts.timed, arm.counts.slow
    span.end_if_long([arm])
    after = arm.counts.timed, arm.counts.slow
    assert (after[0] - before[0], after[1] - before[1]) == (13, 3), "200 are more than it had"


@pytest.mark.parametrize("share", [0.9, 1.0])
def test_an_arm_that_answers_more_events_than_the_champion_is_not_slow_by_that(
    canary: Model, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr("inference.routing.latency_spans._BATCHES", 150)
    canary.seconds = 0.001
    router = router_of(arm := arm_of(canary), shares=[share])
    for _ in range(160):
        decide(router)
    assert arm.counts.slow == 0


def test_one_event_at_a_time_says_nothing_of_an_arm_s_speed(
    canary: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.routing.latency_spans._BATCHES", 150)
    router = router_of(arm := arm_of(canary), shares=[0.5])
    for key in range(400):
        router.decide([key], NOW[:1], FEATURES[:1])
    assert arm.counts.batches > 150
    assert arm.counts.timed == 0


def test_no_arms_no_cost(canary: Model) -> None:
    router = router_of(arm_of(canary))
    router.route("", [], [])
    said = decide(router)
    assert not said.routed
    assert canary.calls == 0
    assert said.routes.names == ("champion",)
