"""The parts of an explanation record, each with the type that the schema file is made of."""

from typing import Annotated

import msgspec
from msgspec import Meta

from explain.exact.settings import Discretizer, FeatureSelection
from explain.record.reason_settings import MOST_REASONS
from inference.policy.policy import Decision

Time = Annotated[int, Meta(description="UTC, milliseconds since the epoch")]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256, hexadecimal")]
SealedPlace = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{56}$",
        description="partition and offset, encrypted under the key of the event's subject",
    ),
]
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Above = Annotated[float, Meta(gt=0)]
LogOdds = Annotated[float, Meta(description="in log-odds of fraud")]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a record; a number that is not finite is written as null."""


class EventPart(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Which event was decided on.

    Its place in `topic` is sealed where a key ring is kept, and is open otherwise and in records
    of before; what the other way has is None, and is not written.

    Attributes:
        key: token of its key (`explain.writing.key_ring`); None where no key ring is kept.
        partition, offset: the open place.
        place: the sealed one (`explain.writing.subject`).
        time: when it happened, by itself.
        arrived: when the scorer had it; None where that is not known any more.
        explained: when this record was made; None where that is left out.
    """

    id: int | str
    key: str | None
    topic: str
    partition: Count | None = None
    offset: Count | None = None
    place: SealedPlace | None = None
    time: Time
    arrived: Time | None
    explained: Time | None


class ThresholdsPart(Part, frozen=True, kw_only=True):
    """Probabilities from which the policy decides so; it never does where there is none.

    Attributes:
        anomaly_review: the anomaly from which it sends to review.
    """

    review: Share | None
    decline: Share | None
    anomaly_review: Share | None


class DecisionPart(Part, frozen=True, kw_only=True):
    """What was decided, and by which policy.

    Attributes:
        policy: its version.
        fallback: why the policy's fallback answered in place of the model, or None.
    """

    outcome: Decision
    policy: str
    fallback: str | None
    thresholds: ThresholdsPart


class AnswersPart(Part, frozen=True, kw_only=True):
    """What the model answered; empty where it was not asked.

    Attributes:
        score: of the fraud model.
        probability: the calibrated one.
        anomaly: share of legitimate events that are less anomalous.
        log_odds: the score as the explanation sees it.
    """

    score: Share | None
    probability: Share | None
    anomaly: Share | None
    log_odds: LogOdds | None


class ModelPart(Part, frozen=True, kw_only=True):
    """Which model answered.

    Attributes:
        package: its id.
        version: its number in the registry, if known.
        feature_schema: hash of the meaning of all features.
        training_data: of the rows that it was trained on.
        backend: what computed, such as ``onnxruntime``.
        precision: of its arithmetic.
    """

    package: Sha256
    version: int | None
    feature_schema: Sha256
    training_data: Sha256
    backend: str
    precision: str


class FeaturePart(Part, frozen=True, kw_only=True):
    """What the model was given of one feature.

    Attributes:
        value: the float32 number itself; None where it is missing.
        typical: median of the package's background.
        window: length of its window, such as ``7d``.
        delay: how long before the event the window ends.
        entity: the field whose events are in the window.
    """

    name: str
    value: float | None
    typical: float | None
    unit: str | None
    window: str | None
    delay: str | None
    entity: str | None


class GroupPart(Part, frozen=True, kw_only=True):
    """Features that were kept or replaced together."""

    name: str
    features: Annotated[tuple[str, ...], Meta(min_length=1)]


class ConfidencePart(Part, frozen=True, kw_only=True):
    """Outside of these bounds an explanation is not confident.

    Attributes:
        r2, ess, vsi: the least.
        gap: the largest difference of the local model's answer and the model's.
    """

    r2: Share
    ess: Above
    vsi: Share
    gap: Above


class TellingPart(Part, frozen=True, kw_only=True):
    """How much of an explanation its reasons tell.

    Attributes:
        at_most: so many reasons.
        least_share: of the whole rise, which a group must have to be a reason.
    """

    at_most: Annotated[int, Meta(ge=1, le=MOST_REASONS)]
    least_share: Annotated[float, Meta(ge=0, lt=1)]


class ExplainerPart(Part, frozen=True, kw_only=True, tag_field="method", tag="lime"):
    """What explained, down to what is needed to do it again.

    Attributes:
        top: so many attributions count when stability is judged.
        background: of the rows that values were replaced by.
        operator: of what the model was asked and how its answers were read.
        runtime: what asked the model, such as ``onnxruntime 1.23.2``.
    """

    groups: tuple[GroupPart, ...]
    samples: Count
    seed: Count
    kernel_width: Above
    top: Annotated[int, Meta(ge=1)]
    confidence: ConfidencePart
    reasons: TellingPart
    background: Sha256
    operator: Sha256
    runtime: str


class LimeExplainerPart(Part, frozen=True, kw_only=True, tag_field="method", tag="lime 0.2.0.1"):
    """What explained as that version of the `lime` package does, in probability of fraud.

    Attributes:
        groups: each feature by itself.
        seed: with the record's id, of the random stream.
        kernel_width: None for 0.75 times the root of the number of columns that have a value.
        background: of the rows that it learned usual values from.
        runtime: as of `ExplainerPart`.
    """

    groups: tuple[GroupPart, ...]
    samples: Annotated[int, Meta(ge=2)]
    seed: Count
    kernel_width: Above | None
    discretizer: Discretizer
    categorical_features: tuple[str, ...]
    sample_around_instance: bool
    feature_selection: FeatureSelection
    num_features: Annotated[int, Meta(ge=1)]
    confidence: ConfidencePart
    reasons: TellingPart
    background: Sha256
    runtime: str


def method_of(explainer: ExplainerPart | LimeExplainerPart) -> str:
    """What a record calls its method: ``lime`` is Weir's operator."""
    return str(explainer.__struct_config__.tag)


class AttributionPart(Part, frozen=True, kw_only=True):
    """What a group of features did to the answer: above zero it raised the risk.

    Attributes:
        error: standard error of the value.
    """

    group: str
    value: LogOdds | None
    error: LogOdds | None


class StabilityPart(Part, frozen=True, kw_only=True):
    """How far other seeds would say the same: of which groups count, and of their signs."""

    vsi: Share | None
    csi: Share | None


class ExplanationPart(Part, frozen=True, kw_only=True):
    """The explanation, and how far it is true.

    Attributes:
        baseline: what the local model says of the typical event.
        local: what it says of this one.
        r2: share of the variance of the model's answers that it explains.
        ess: effective number of samples.
        confident: all of this is within ``explainer.confidence``.
    """

    attributions: tuple[AttributionPart, ...]
    baseline: LogOdds | None
    local: LogOdds | None
    r2: float | None
    ess: float | None
    stability: StabilityPart
    confident: bool


class CataloguePart(Part, frozen=True, kw_only=True):
    """Which catalogue the reasons are from."""

    name: str
    version: str
    sha256: Sha256
