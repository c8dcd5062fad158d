"""The checker of evidence notices what is lost, doubled, or of another pairing."""

from typing import Any

import pytest

from tests.chaos.shadow.evidence import Run, check_tally, runs_of
from tests.chaos.violations import Violations


def score(time: int, **more: Any) -> dict[str, Any]:
    said = {"model": "b", "policy": "1", "decision": "review"}
    return {
        "event_time": time,
        "model": "a",
        "policy": "1",
        "arm": "champion",
        "decision": "approve",
        "fallback": False,
        "candidates": {"new": said},
    } | more


def test_pairs_are_counted_since_the_pairing_began() -> None:
    scores = [
        score(1),
        score(2, model="c"),
        score(1, model="a"),
        score(3, model="c", decision="decline"),
        score(4, model="c", arm="canary"),
        score(5, model="c", fallback=True),
        score(6, model="c", candidates={"new": {"model": "b", "policy": "1", "error": "died"}}),
        score(
            7, model="c", candidates={"new": {"model": "b", "policy": "2", "decision": "review"}}
        ),
    ]
    assert runs_of(scores) == {"new": Run(("c", "b", "1"), 7, [1, 7])}


@pytest.mark.parametrize(
    ("tally", "kinds"),
    [
        ({}, []),
        ({"events": 2}, ["evidence: lost"]),
        ({"events": 4}, ["evidence: doubled"]),
        ({"between": ["a", "c", "1"]}, ["evidence: wrong pairing"]),
        ({"similarity": {"decisions": [3, 0, 0, 0, 0, 0, 0, 0, 0]}}, ["evidence: wrong decisions"]),
    ],
)
def test_what_is_wrong_is_noticed(tally: dict[str, Any], kinds: list[str]) -> None:
    right = {
        "between": ["a", "b", "1"],
        "events": 3,
        "left_out": {},
        "similarity": {"decisions": [1, 2, 0, 0, 0, 0, 0, 0, 0]},
    }
    found = Violations()
    check_tally("here", right | tally, Run(("a", "b", "1"), 0, [1, 0, 1]), found, whole=True)
    assert list(found.counts) == kinds


def test_after_partitions_were_added_the_last_pairs_count() -> None:
    found = Violations()
    tally = {
        "between": ["a", "b", "1"],
        "events": 2,
        "left_out": {},
        "similarity": {"decisions": [1, 1, 0, 0, 0, 0, 0, 0, 0]},
    }
    check_tally("here", tally, Run(("a", "b", "1"), 0, [1, 0, 1]), found, whole=False)
    assert not found.counts
