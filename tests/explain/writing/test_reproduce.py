"""A record holds all that it takes to make it again, whatever the settings are by then."""

from typing import Any

import msgspec
import numpy as np
import pytest
from answered import answered, writer_of

from explain.lime.settings import ConfidenceSettings, ExplainSettings
from explain.record.reason_settings import ReasonSettings
from explain.record.record import Record, canonical, read
from explain.writing.reproduce import Reproduction, ReproductionError, reproduce
from inference.packages.package import ModelPackage
from weir.reasons import open_catalogue

CATALOGUE = open_catalogue(ReasonSettings())
SURE = {"r2": 0.0, "ess": 1.0, "vsi": 0.0, "gap": 99.0}


def again(model: ModelPackage, data: bytes) -> Reproduction:
    return reproduce(data, model, 7, CATALOGUE)


@pytest.mark.parametrize(
    ("explain", "reasons"),
    [
        ({"confidence": SURE}, {"least_share": 0.0}),
        ({"confidence": SURE}, {"at_most": 1}),
        ({"confidence": SURE}, {"least_share": 0.75}),
        ({"confidence": SURE | {"r2": 1.0}}, {}),
        ({"confidence": SURE, "top": 1, "seed": 3, "kernel_width": 0.5, "samples": 256}, {}),
        ({"groups": {"use": ("count_1d", "risk")}}, {"languages": ("de",)}),
    ],
)
def test_the_settings_of_then_are_in_the_record(
    model: ModelPackage, explain: dict[str, Any], reasons: dict[str, Any]
) -> None:
    chosen = explain | {"confidence": ConfidenceSettings(**explain.get("confidence", {}))}
    writer = writer_of(model, ExplainSettings(**chosen), ReasonSettings(**reasons))
    for events in answered(model, 12):
        for _, data in writer.write(events):
            assert again(model, data).differences == ()
            assert again(model, data).identical


@pytest.fixture(scope="module")
def by_anomaly(model: ModelPackage) -> list[Record]:
    """Of events that are sent to review for their anomaly, or never."""
    policy = {"review_alert_rate": 0, "decline_alert_rate": 0, "anomaly_review": 0.5}
    writer = writer_of(model, ExplainSettings(samples=128))
    return [
        read(data) for events in answered(model, 30, **policy) for _, data in writer.write(events)
    ]


def test_a_review_for_anomaly_is_made_again(model: ModelPackage, by_anomaly: list[Record]) -> None:
    assert {record.decision.outcome for record in by_anomaly} == {"approve", "review"}
    for record in by_anomaly:
        bounds = record.decision.thresholds
        assert (bounds.review, bounds.decline, bounds.anomaly_review) == (None, None, 0.5)
        assert again(model, canonical(record)).identical


def test_a_decision_that_its_bounds_do_not_give_is_a_difference(
    model: ModelPackage, by_anomaly: list[Record]
) -> None:
    replaced = msgspec.structs.replace
    for record in by_anomaly:
        recorded, bounds = record.decision, record.decision.thresholds
        other = "approve" if recorded.outcome == "review" else "review"
        forged = [(other, bounds), ("decline", bounds)]
        if recorded.outcome == "review":
            forged.append(("review", replaced(bounds, anomaly_review=None)))
        else:
            forged.append(("approve", replaced(bounds, review=0.0)))
        for outcome, thresholds in forged:
            decision = replaced(recorded, outcome=outcome, thresholds=thresholds)
            found = again(model, canonical(replaced(record, decision=decision)))
            assert [each.key for each in found.differences] == ["decision.outcome"]


def test_bounds_that_contradict_each_other_are_named(
    model: ModelPackage, by_anomaly: list[Record]
) -> None:
    replaced = msgspec.structs.replace
    thresholds = replaced(by_anomaly[0].decision.thresholds, review=0.5, decline=0.25)
    decision = replaced(by_anomaly[0].decision, thresholds=thresholds)
    with pytest.raises(ReproductionError, match=r"decision\.thresholds: .*declining from 0\.25"):
        again(model, canonical(replaced(by_anomaly[0], decision=decision)))


@pytest.mark.parametrize("name", ["ess", "gap", "kernel_width"])
def test_what_a_record_can_t_hold_is_no_setting(name: str) -> None:
    kind = ExplainSettings if name == "kernel_width" else ConfidenceSettings
    with pytest.raises(ValueError, match=name):
        kind(**{name: np.inf})
