"""A small explanation record, as tests change it."""

from typing import Any

import msgspec

from explain.record.parts import (
    AnswersPart,
    AttributionPart,
    CataloguePart,
    ConfidencePart,
    DecisionPart,
    EventPart,
    ExplainerPart,
    ExplanationPart,
    FeaturePart,
    GroupPart,
    LimeExplainerPart,
    ModelPart,
    StabilityPart,
    TellingPart,
    ThresholdsPart,
)
from explain.record.reason import Reason
from explain.record.record import Record, build_record

EVENT = EventPart(
    id=116946,
    key="ab" * 32,
    topic="weir.events",
    partition=3,
    offset=29_311,
    time=1_774_709_307_784,
    arrived=1_795_241_145_620,
    explained=1_795_241_145_702,
)
EXPLANATION = ExplanationPart(
    attributions=(
        AttributionPart(group="amount", value=3.25, error=0.1),
        AttributionPart(group="terminal", value=-0.5, error=0.05),
    ),
    baseline=-4.1,
    local=-1.35,
    r2=0.93,
    ess=311.7,
    stability=StabilityPart(vsi=0.97, csi=1.0),
    confident=True,
)
REASON = Reason(
    code="amount-high",
    group="amount",
    feature="amount",
    direction="high",
    value=412.5,
    typical=31.0,
    unit="EUR",
    contribution=3.25,
    analyst={"en": "412.50 EUR, typically 31 EUR.", "de": "412,50 EUR, üblich sind 31 EUR."},
    customer={"en": "The amount is unusually high.", "de": "Der Betrag ist ungewöhnlich hoch."},
    adverse_action=True,
)
CONFIDENCE = ConfidencePart(r2=0.5, ess=200.0, vsi=0.7, gap=2.0)
TELLING = TellingPart(at_most=4, least_share=0.05)
GROUPS = (
    GroupPart(name="amount", features=("amount",)),
    GroupPart(name="terminal", features=("count", "frauds")),
)
LIME = LimeExplainerPart(
    groups=GROUPS,
    samples=5000,
    seed=0,
    kernel_width=None,
    discretizer="quartile",
    categorical_features=(),
    sample_around_instance=False,
    feature_selection="auto",
    num_features=10,
    confidence=CONFIDENCE,
    reasons=TELLING,
    background="02" * 32,
    runtime="weir 0.1.0",
)


def feature(name: str, value: float | None, **facts: str) -> FeaturePart:
    known: dict[str, Any] = dict.fromkeys(("unit", "window", "delay", "entity")) | facts
    return FeaturePart(name=name, value=value, typical=31.0, **known)


def a_record(**parts: Any) -> Record:
    """A record; `parts` replace its own."""
    given: dict[str, Any] = {
        "event": EVENT,
        "decision": DecisionPart(
            outcome="decline",
            policy="1",
            fallback=None,
            thresholds=ThresholdsPart(review=0.1, decline=0.5, anomaly_review=None),
        ),
        "answers": AnswersPart(score=0.91, probability=0.94, anomaly=0.98, log_odds=2.31),
        "model": ModelPart(
            package="c6" * 32,
            version=2,
            feature_schema="4d" * 32,
            training_data="01" * 32,
            backend="onnxruntime",
            precision="fp32",
        ),
        "features": (
            feature("amount", 412.5, unit="EUR"),
            feature("count", 3.0, window="1d", entity="card"),
            feature("frauds", None, window="7d", delay="7d", entity="terminal"),
        ),
        "explainer": ExplainerPart(
            groups=GROUPS,
            samples=1024,
            seed=0,
            kernel_width=0.75,
            top=5,
            confidence=CONFIDENCE,
            reasons=TELLING,
            background="02" * 32,
            operator="03" * 32,
            runtime="onnxruntime 1.23.2",
        ),
        "explanation": EXPLANATION,
        "reasons": (REASON,),
        "catalogue": CataloguePart(name="weir-example", version="1", sha256="04" * 32),
    }
    return build_record(**(given | parts))


def as_values(record: Record) -> dict[str, Any]:
    """A record as a dict, to be changed."""
    values: dict[str, Any] = msgspec.to_builtins(record)
    return values
