"""Records of the control topic: across versions of Weir, and in which order they count."""

import json
from typing import Any

import pytest

from inference.control.commands import (
    CHAMPION_KEY,
    FORMAT,
    POLICY_KEY,
    ChampionCommand,
    CommandError,
    ModelVersion,
    NewerFormatError,
    PolicyCommand,
    PolicyVersion,
    encode,
    read_command,
)
from inference.control.reports import ScorerReport, report_key
from inference.control.standing import OvertakenError, Standing
from inference.policy.policy import PolicySettings
from streams.kafka.records.control_topic import ControlRecord

A, B, C = (ModelVersion(version=number, package=f"{number}" * 64) for number in (1, 2, 3))


def record(key: str, value: Any, offset: int = 0) -> ControlRecord:
    if isinstance(value, dict):
        value = json.dumps(value).encode()
    return ControlRecord(key, value, 0, offset)


def champion(model: ModelVersion, **more: Any) -> ControlRecord:
    return record(CHAMPION_KEY, encode(ChampionCommand(model=model, by="me", at=1, **more)))


def policy(version: str, **more: Any) -> ControlRecord:
    settings = PolicySettings(version=version)
    return record(POLICY_KEY, encode(PolicyCommand(policy=settings, by="me", at=1, **more)))


def test_every_record_names_its_format() -> None:
    report = ScorerReport(
        outcome="serving",
        model=A.package,
        policy="1",
        asked_model=A.package,
        asked_policy="1",
        at=1,
        alive=1,
    )
    for value in (champion(A).value, policy("1").value, encode(report)):
        assert json.loads(value or b"")["format"] == FORMAT


def test_a_record_from_before_formats_is_read() -> None:
    said = {"model": A.model_dump(), "before": [B.model_dump()], "by": "me", "note": "", "at": 5}
    command = read_command(ChampionCommand, record(CHAMPION_KEY, said))
    assert command is not None
    assert (command.model, command.before, command.expects) == (A, (B,), "any")


def test_keys_of_a_newer_weir_are_ignored() -> None:
    said = {
        "format": FORMAT,
        "model": A.model_dump() | {"signed": "x"},
        "until": 7,
        "by": "me",
        "at": 5,
    }
    command = read_command(ChampionCommand, record(CHAMPION_KEY, said))
    assert command is not None
    assert command.model == A
    report = {
        "outcome": "serving",
        "model": A.package,
        "policy": "1",
        "asked_model": A.package,
        "asked_policy": "1",
        "at": 1,
        "alive": 1,
        "arms": {"canary": 3},
    }
    assert read_command(ScorerReport, record(report_key("x"), report)) is not None


def test_but_no_key_of_a_policy_is() -> None:
    """Scores name the policy's version: it has to be that policy, and no part of it."""
    said = json.loads(policy("2").value or b"")
    assert "deadline" not in said["policy"], "what is left open is no key that one has to know"
    assert read_command(PolicyCommand, record(POLICY_KEY, said)) is not None
    said["policy"]["weekend_review"] = 0.1
    with pytest.raises(CommandError, match=r"policy\.weekend_review"):
        read_command(PolicyCommand, record(POLICY_KEY, said))


@pytest.mark.parametrize("kind", [ChampionCommand, PolicyCommand, ScorerReport])
def test_a_newer_format_is_refused_in_a_clear_sentence(kind: Any) -> None:
    with pytest.raises(NewerFormatError, match=rf"newer Weir \(format {FORMAT + 1}; .*update"):
        read_command(kind, record(CHAMPION_KEY, {"format": FORMAT + 1, "all": "else"}))


def counted(*records: ControlRecord) -> list[bool]:
    standing = Standing()
    return [standing.counts(each) for each in records]


def test_of_two_that_follow_the_same_champion_the_first_counts() -> None:
    log = [champion(A, expects=None), champion(B, expects=A), champion(C, expects=A)]
    assert counted(*log) == [True, True, False]
    assert counted(*log, champion(C, expects=B)) == [True, True, False, True]
    standing = Standing()
    assert all(standing.counts(each) for each in log[:2])
    with pytest.raises(OvertakenError, match=r"333333333333 \(version 3\) .* 222222222222") as told:
        standing.admit(log[2])
    assert told.value.named == C


def test_of_two_that_follow_the_same_policy_the_first_counts() -> None:
    one = PolicyVersion(version="1")
    assert counted(
        policy("1", expects=None),
        policy("2", expects=one),
        policy("3", expects=one),
        champion(A, expects=None),
    ) == [True, True, False, True]


def test_a_record_without_a_condition_counts_whatever_stands() -> None:
    assert counted(champion(A), champion(B), champion(C, expects=B)) == [True] * 3


def test_what_is_read_first_counts_since_the_log_is_compacted() -> None:
    assert counted(champion(C, expects=B), champion(A, expects=C)) == [True, True]


@pytest.mark.parametrize("nothing", [None, b"garbage"])
def test_after_what_names_none_one_follows_none(nothing: bytes | None) -> None:
    log = [champion(A), record(CHAMPION_KEY, nothing)]
    assert counted(*log, champion(B, expects=A)) == [True, True, False]
    assert counted(*log, champion(B, expects=None)) == [True, True, True]


def test_after_a_newer_format_nobody_knows_what_stands() -> None:
    newer = record(CHAMPION_KEY, {"format": FORMAT + 1})
    assert counted(champion(A), newer, champion(C, expects=B)) == [True] * 3
