"""A record of a real model's explanation, from the parts that the explainer has."""

import hashlib
import math

import numpy as np
import pytest
from catalogues import catalogue, entry

from explain.lime.lime import Lime
from explain.lime.settings import ConfidenceSettings, ExplainSettings
from explain.reasons.background_stats import background_stats_of
from explain.reasons.catalogue import Catalogue
from explain.reasons.reason_writer import ReasonWriter
from explain.record.parts import AnswersPart, ConfidencePart, DecisionPart, EventPart, TellingPart
from explain.record.reason_settings import ReasonSettings
from explain.record.record import build_record, canonical, read
from explain.writing.feature_facts import FeatureFacts, facts_of, units_of
from explain.writing.part_builders import (
    background_sha256,
    catalogue_part,
    explainer_part,
    explanation_part,
    feature_parts,
    finite,
    model_part,
    thresholds_part,
)
from inference.policy.policy import Policy, PolicySettings
from weir.config.settings import EXAMPLE_FILE, load_settings

DEFINITIONS = {
    "fields": {"value": {"type": "float", "unit": "EUR"}},
    "features": [
        {"name": "amount", "kind": "field", "field": "value"},
        {
            "name": "count_1d",
            "kind": "window",
            "entity": "card",
            "aggregate": "count",
            "window": 86_400_000,
            "field": None,
            "delay": 0,
        },
        {
            "name": "amount_7d",
            "kind": "window",
            "entity": "card",
            "aggregate": "sum",
            "window": 604_800_000,
            "field": "value",
            "delay": 0,
        },
        {"name": "hour", "kind": "calendar", "part": "hour"},
        {
            "name": "risk_30d",
            "kind": "label",
            "entity": "shop",
            "aggregate": "rate",
            "window": 2_592_000_000,
            "delay": 604_800_000,
        },
        {
            "name": "device_age",
            "kind": "window",
            "entity": "device",
            "aggregate": "time_since",
            "window": 90_061_001,
            "field": None,
            "delay": 0,
        },
    ],
}


def test_what_a_value_means_is_in_the_definitions() -> None:
    assert facts_of(DEFINITIONS) == {
        "amount": FeatureFacts(unit="EUR"),
        "count_1d": FeatureFacts(window="1d", entity="card"),
        "amount_7d": FeatureFacts(unit="EUR", window="7d", entity="card"),
        "hour": FeatureFacts(),
        "risk_30d": FeatureFacts(window="30d", delay="7d", entity="shop"),
        "device_age": FeatureFacts(unit="s", window="90061001ms", entity="device"),
    }
    assert units_of(DEFINITIONS) == {"amount": "EUR", "amount_7d": "EUR", "device_age": "s"}


def test_the_examples_definitions_can_be_read() -> None:
    plan = load_settings(EXAMPLE_FILE).plan()
    facts = facts_of(plan.schema())
    assert set(facts) == set(plan.names)
    assert facts["amount"].unit == "EUR"
    assert facts["customer_amount_std_30d"] == FeatureFacts("EUR", "30d", None, "customer_id")
    assert facts["amount_to_own_mean_30d"] == FeatureFacts(None, "30d", None, "customer_id")
    assert facts["terminal_frauds_7d"] == FeatureFacts(None, "7d", "7d", "terminal_id")


@pytest.fixture(scope="module")
def record(package, data):
    sure = ConfidenceSettings(r2=0, ess=1, vsi=0, gap=100)
    groups_declared = {"use": ("count_1d", "amount_7d")}
    explain = ExplainSettings(groups=groups_declared, confidence=sure)
    lime = Lime(package, explain)
    row = data.matrix[data.labels == 1][0]
    [explanation] = lime.explain(row[None])
    names, typical = package.features.names, background_stats_of(package.background)
    groups = dict(zip(lime.design.groups.names, lime.design.groups.features, strict=True))
    words = Catalogue.model_validate(catalogue(*[entry(name, "any") for name in names]))
    reasons = ReasonSettings(at_most=3)
    writer = ReasonWriter(
        words, groups, names=names, typical=typical, units=units_of(DEFINITIONS), settings=reasons
    )
    policy = Policy(
        PolicySettings(review_probability=0.25, decline_alert_rate=0), package.thresholds
    )
    return build_record(
        event=EventPart(
            id="e-1",
            key=None,
            topic="weir.events",
            partition=0,
            offset=7,
            time=1_750_000_000_000,
            arrived=None,
            explained=None,
        ),
        decision=DecisionPart(
            outcome="review",
            policy="1",
            fallback=None,
            thresholds=thresholds_part(policy.review, policy.decline, policy.anomaly_review),
        ),
        answers=AnswersPart(
            score=finite(np.float32(0.5)),
            probability=finite(np.float32(0.3)),
            anomaly=finite(math.nan),
            log_odds=explanation.log_odds,
        ),
        model=model_part(package, 1, "onnxruntime", "fp32"),
        features=feature_parts(names, row, typical, facts_of(DEFINITIONS)),
        explainer=explainer_part(package, lime.design, explain, reasons),
        explanation=explanation_part(explanation, list(groups)),
        reasons=writer.reasons(explanation, row),
        catalogue=catalogue_part(words),
    )


def test_the_record_of_a_model_is_written_and_read(record, package, data) -> None:
    again = read(canonical(record))
    assert again == record
    row = data.matrix[data.labels == 1][0]
    values = np.array([each.value for each in again.features], dtype=np.float32)
    assert np.array_equal(values, row, equal_nan=True)
    assert [each.name for each in again.features] == list(package.features.names)
    assert again.model.package == package.id
    assert (again.decision.thresholds.review, again.decision.thresholds.decline) == (0.25, None)
    assert again.answers.anomaly is None
    assert [group.name for group in again.explainer.groups] == [
        "amount",
        "use",
        "hour",
        "risk_30d",
        "device_age",
    ]
    assert again.explainer.confidence == ConfidencePart(r2=0.0, ess=1.0, vsi=0.0, gap=100.0)
    assert again.explainer.reasons == TellingPart(at_most=3, least_share=0.05)
    assert (again.explainer.samples, again.explainer.top) == (512, 5)


def test_its_reasons_are_those_of_the_attributions(record) -> None:
    raising = {a.group: a.value for a in record.explanation.attributions if a.value > 0}
    assert record.explanation.confident
    assert record.reasons
    for reason in record.reasons:
        assert reason.contribution == raising[reason.group]
        value = next(f.value for f in record.features if f.name == reason.feature)
        assert reason.value == value


def test_the_background_is_named_by_its_values(package) -> None:
    rows = package.background
    name = background_sha256(rows)
    assert name == hashlib.sha256(rows.astype("<f4").tobytes(order="C")).hexdigest()
    assert background_sha256(np.asfortranarray(rows)) == name
    other = rows.copy()
    other[0, 0] = np.nextafter(other[0, 0], np.float32(np.inf))
    assert background_sha256(other) != name
