"""The gates before a promotion."""

from typing import Any

import pytest
from canary_traffic import CANARY, CHAMPION, command

from inference.canary.gate_record import GateRecord
from inference.canary.keeper import Judgement
from inference.control.commands import ModelVersion, encode
from inference.control.signatures import CommandKeys
from inference.gates.gates import Findings, gates_of
from inference.gates.record import ComparisonRecord
from inference.gates.settings import GateSettings
from inference.gates.waiver import Waiver, waiver_in, waiver_key
from inference.shadow.comparison.comparison import Verdict
from streams.kafka.records.control_topic import ControlRecord

NOW = 1_750_000_000_000
DAY = 86_400_000


def shadow(verdict: Verdict = Verdict.BETTER, **values: Any) -> ComparisonRecord:
    found = {"candidate": CANARY[:12], "mature": 5_000, "recall": {"events": 80}}
    model = ModelVersion(version=2, package=CANARY)
    given = {"name": "v2", "model": model, "champion": CHAMPION[:12], "policy": "1"}
    given |= {"verdict": verdict, "found": found, "at": NOW - DAY}
    return ComparisonRecord(**given | values)


def canary(deed: Any = "done", **values: Any) -> GateRecord:
    record = GateRecord.of(command(), Judgement(deed, "as it is"), {})
    return record.model_copy(update={"at": NOW - DAY} | values)


def states(findings: Findings, **settings: Any) -> dict[str, str]:
    gates = gates_of(findings, CHAMPION, "1", GateSettings(**settings), NOW)
    assert all(gate.why for gate in gates)
    return {gate.name: gate.state for gate in gates}


def test_all_are_passed_by_a_model_that_is_better_and_was_a_canary() -> None:
    assert set(states(Findings(shadow(), canary())).values()) == {"passed"}


def test_nothing_that_is_not_known_is_passed() -> None:
    assert set(states(Findings()).values()) == {"open"}
    assert states(Findings(), canary=False)["guardrails"] == "passed"


@pytest.mark.parametrize(
    ("verdict", "no_worse", "better"),
    [
        (Verdict.BETTER, "passed", "passed"),
        (Verdict.NO_WORSE, "passed", "open"),
        (Verdict.INCONCLUSIVE, "open", "open"),
        (Verdict.NO_COSTS, "open", "open"),
        (Verdict.WORSE, "failed", "failed"),
    ],
)
def test_an_inconclusive_verdict_is_no_pass(verdict: Verdict, no_worse: str, better: str) -> None:
    found = states(Findings(shadow(verdict), canary()))
    assert (found["non-inferiority"], found["superiority"]) == (no_worse, better)


@pytest.mark.parametrize(
    "values",
    [
        {"champion": "c" * 12},
        {"policy": "2"},
        {"at": NOW - 8 * DAY},
        {"model": ModelVersion(version=3, package="d" * 64)},
    ],
)
def test_what_was_found_of_something_else_or_long_ago_counts_for_nothing(
    values: dict[str, Any],
) -> None:
    found = states(Findings(shadow(**values), canary()))
    assert [found[name] for name in ("exposure", "non-inferiority", "superiority")] == ["open"] * 3


def test_exposure_asks_for_labels_and_frauds() -> None:
    findings = Findings(shadow(), canary())
    assert states(findings, min_labels=5_000, min_frauds=80)["exposure"] == "passed"
    assert states(findings, min_labels=5_001)["exposure"] == "open"
    assert states(findings, min_frauds=81)["exposure"] == "open"


@pytest.mark.parametrize(
    "found", [{}, {"mature": None}, {"mature": 9_000}, {"mature": 9_000, "recall": []}]
)
def test_what_can_not_be_read_is_no_exposure(found: dict[str, Any]) -> None:
    odd = shadow(found={"candidate": CANARY[:12]} | found)
    assert states(Findings(odd, canary()))["exposure"] == "open"


@pytest.mark.parametrize(
    ("deed", "state"),
    [
        ("done", "passed"),
        ("wait", "open"),
        ("step", "open"),
        ("void", "open"),
        ("roll back", "failed"),
    ],
)
def test_the_canary_has_to_have_come_to_its_end(deed: str, state: str) -> None:
    assert states(Findings(shadow(), canary(deed)))["guardrails"] == state


def test_a_canary_beside_another_champion_or_long_ago_is_none() -> None:
    assert states(Findings(None, canary(champion="c" * 64)))["guardrails"] == "open"
    assert states(Findings(None, canary(at=NOW - 8 * DAY)))["guardrails"] == "open"
    rolled_back = canary("roll back", champion="c" * 64)
    assert states(Findings(None, rolled_back))["guardrails"] == "failed", "it did harm"


def test_a_waiver_counts_for_its_model_beside_its_champion() -> None:
    keys = CommandKeys("control")
    waiver = Waiver(package=CANARY, beside=CHAMPION, by="ada", note="by the board", at=1)
    record = ControlRecord(waiver_key(CANARY), encode(waiver), 0, 1)
    assert waiver_in(record, keys, CANARY, CHAMPION, 0) == waiver
    assert waiver_in(record, keys, CANARY, "c" * 64, 0) is None
    assert waiver_in(record, keys, "c" * 64, CHAMPION, 0) is None
    assert waiver_in(None, keys, CANARY, CHAMPION, 0) is None
    assert waiver_in(record, keys, CANARY, CHAMPION, 2) is None, "it was rolled back since"
    garbage = ControlRecord(waiver_key(CANARY), b"{}", 0, 1)
    assert waiver_in(garbage, keys, CANARY, CHAMPION, 0) is None


def test_a_record_is_read_as_it_was_written() -> None:
    record = shadow()
    assert ComparisonRecord.model_validate_json(record.model_dump_json()) == record
