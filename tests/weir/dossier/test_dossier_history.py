"""What the topics say of a model, put in order; what can't be read is counted."""

from typing import Any

from dossier_world import CHAMPION, HOUR, MODEL, START, history, look, step

from inference.control.commands import ChampionCommand, ModelVersion, encode
from streams.kafka.records.control_topic import ControlRecord
from weir.dossier.history import History, _promotion


def test_looks_that_say_the_same_are_one_phase() -> None:
    found = history()
    assert [(each.record.deed, each.looks) for each in found.phases] == [
        ("wait", 2),
        ("step", 1),
        ("wait", 1),
        ("step", 1),
        ("done", 1),
    ]
    waited = found.phases[0]
    assert waited.record.at - waited.first_at == HOUR
    assert waited.record.why == "it has answered 90 events of 1,000"
    assert waited.figures.guardrails["split"].log_evidence is not None
    assert found.unreadable == 0


def test_figures_are_those_that_were_compared() -> None:
    found = look(2_000).found
    (read,) = History.of([look(2_000)]).looks
    assert read.found.mature == found["mature"] == 2_000
    assert read.found.cost is not None
    assert read.found.cost.log_better == found["cost"]["log_better"]
    assert read.found.decisions["review"] == found["decisions"]["review"]
    assert read.found.auc is not None


def test_what_anybody_may_have_written_there_is_passed_over() -> None:
    whole = look(600)
    wrong: list[dict[str, Any]] = [
        {},
        {"found": {}},
        {"found": whole.found | {"mature": -1}},
        {"found": whole.found | {"events": 2**70}},
        {"found": whole.found | {"recall": "<script>"}},
        {"found": whole.found | {"cost": whole.found["cost"] | {"log_better": float("inf")}}},
    ]
    records: list[Any] = [whole.model_copy(update=each) for each in wrong]
    records.append(step(0.1, "wait", "", START).model_copy(update={"evidence": {"shares": [1]}}))
    found = History.of(records)
    assert (len(found.looks), found.phases, found.unreadable) == (1, (), 6)


def test_a_name_that_stood_for_another_model_is_no_look() -> None:
    other = look(600, model=ModelVersion(version=3, package="c" * 64))
    assert not History.of([other.model_copy(update={"model": MODEL})]).looks


def test_gates_are_decided_by_what_was_known_then() -> None:
    found = history()
    last = found.findings(found.phases[1].record.at)
    assert last.canary is not None
    assert last.canary.deed == "step"
    nothing = found.findings(START)
    assert (nothing.shadow, nothing.canary) == (None, None)
    done = found.phases[-1].record.at
    assert found.is_beside(CHAMPION.package, done - 1)
    assert not found.is_beside(CHAMPION.package, done)
    assert not found.is_beside("c" * 64, START)


def test_a_rollback_is_no_promotion_over_the_one_that_failed() -> None:
    later = ModelVersion(version=3, package="c" * 64)

    def said(**values: Any) -> Any:
        command = ChampionCommand(model=MODEL, by="eve", at=START, **values)
        return _promotion(ControlRecord("champion", encode(command), 0, 0), MODEL.package)

    first = said(before=(CHAMPION,), expects=CHAMPION)
    assert (first.former, first.rollback) == (CHAMPION, False)
    back = said(before=(CHAMPION,), expects=later)
    assert (back.former, back.rollback) == (CHAMPION, True)
    assert said().former is None
    for value in (None, b"no JSON", b"{}"):
        assert _promotion(ControlRecord("champion", value, 0, 0), MODEL.package) is None
