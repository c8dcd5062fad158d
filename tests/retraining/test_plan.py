"""A seed fixes the plan, each point gets its kill, and the check finds what is wrong."""

from dataclasses import replace

import pytest

from tests.retraining.findings import Findings, judge
from tests.retraining.plan import POINTS, draw

SOUND = Findings(
    episode="loss",
    decided={"k": "loss"},
    folders=["k"],
    models=["p"],
    of_job={"k": "p"},
    named=[("retrained-k", "p")],
    expected={"k": "retrained-k"},
    attempts=2,
    kills=1,
)


def test_a_seed_replays_the_plan_and_each_point_has_a_kill() -> None:
    plans = [draw(7, number) for number in range(len(POINTS))]
    assert plans == [draw(7, number) for number in range(len(POINTS))]
    assert plans != [draw(8, number) for number in range(len(POINTS))]
    assert {kill.point for plan in plans for kill in plan.kills} == set(POINTS)
    for plan in plans:
        places = [POINTS.index(kill.point) for kill in plan.kills]
        assert places == sorted(set(places))


def test_what_is_as_it_should_be_is_not_found_wrong() -> None:
    assert judge(SOUND) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"decided": {}}, "one job for episode loss"),
        ({"decided": {"k": "loss", "l": "loss"}}, "one job for episode loss"),
        ({"folders": ["k", "l"]}, "one job was to run"),
        ({"models": ["p", "q"]}, "one model of the job"),
        ({"models": [], "of_job": {}, "named": []}, "one model of the job"),
        ({"named": []}, "one candidate"),
        ({"named": [("retrained-k", "p"), ("other", "p")]}, "one candidate"),
        ({"named": [("retrained-k", "q")]}, "one candidate"),
        ({"aliases": ["champion"]}, "nothing else"),
        ({"attempts": 3}, "3 attempts with 1 kills"),
        ({"while_broken": True}, "while data were broken"),
    ],
)
def test_each_broken_promise_is_found(wrong: dict[str, object], said: str) -> None:
    assert any(said in each for each in judge(replace(SOUND, **wrong)))  # type: ignore[arg-type]
