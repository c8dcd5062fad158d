"""Which candidate the keeper begins a canary with, where it may by itself."""

from typing import Any

import pytest
from canary_traffic import CANARY, CHAMPION, command

from inference.canary.gate_record import GateRecord
from inference.canary.keeper import Judgement
from inference.control.commands import ModelVersion
from inference.gates.next_canary import next_canary
from inference.gates.record import ComparisonRecord
from inference.gates.settings import GateSettings
from inference.shadow.comparison.comparison import Verdict

NOW = 1_750_000_000_000
MODEL = ModelVersion(version=2, package=CANARY)
OTHER = ModelVersion(version=3, package="d" * 64)


def found(model: ModelVersion = MODEL, **values: Any) -> ComparisonRecord:
    said = {"candidate": model.package[:12], "mature": 5_000, "recall": {"events": 80}}
    given = {"name": "v2", "model": model, "champion": CHAMPION[:12], "policy": "1"}
    given |= {"verdict": Verdict.BETTER, "found": said, "at": NOW}
    return ComparisonRecord(**given | values)


def was_canary(deed: Any, champion: str = CHAMPION) -> GateRecord:
    record = GateRecord.of(command(), Judgement(deed, "as it is"), {})
    return record.model_copy(update={"champion": champion})


def chosen(*records: ComparisonRecord | GateRecord, **candidates: ModelVersion) -> str | None:
    tried = candidates or {"v2": MODEL}
    got = next_canary(tried, records, CHAMPION, "1", GateSettings(), NOW)
    assert got is None or tried[got[0]] == got[1]
    return None if got is None else got[0]


def test_a_candidate_that_passed_the_other_gates_is_the_next_canary() -> None:
    assert chosen(found()) == "v2"
    assert chosen() is None, "nothing was found of it"
    assert chosen(found(), v3=OTHER) is None, "it is tried no more"


@pytest.mark.parametrize("verdict", [each for each in Verdict if each is not Verdict.BETTER])
def test_one_that_is_not_shown_to_be_better_is_none(verdict: Verdict) -> None:
    assert chosen(found(verdict=verdict)) is None


@pytest.mark.parametrize(
    "values", [{"policy": "2"}, {"champion": "c" * 12}, {"found": {"candidate": CANARY[:12]}}]
)
def test_what_was_found_of_something_else_counts_for_nothing(values: dict[str, Any]) -> None:
    assert chosen(found(**values)) is None
    assert chosen(found(), found(**values)) is None, "the last look counts"


@pytest.mark.parametrize("deed", ["wait", "roll back", "done", "end"])
def test_one_that_was_a_canary_is_begun_again_by_a_person_only(deed: str) -> None:
    assert chosen(found(), was_canary(deed)) is None


def test_a_canary_beside_another_champion_may_try_again_unless_it_did_harm() -> None:
    assert chosen(found(), was_canary("done", "c" * 64)) == "v2"


def test_the_one_that_was_named_first_comes_first_and_the_champion_never() -> None:
    both = (found(), found(OTHER, name="v3"))
    assert chosen(*both, v3=OTHER, v2=MODEL) == "v3"
    assert chosen(*both, v2=MODEL, v3=OTHER) == "v2"
    champion = ModelVersion(version=1, package=CHAMPION)
    assert chosen(found(champion, name="same"), same=champion) is None
