"""Parts of an explanation record, from what the explainer has in its hands."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from explain.lime.explanation import Explanation
from explain.lime.perturbation_design import Design
from explain.lime.settings import ExplainSettings
from explain.reasons.background_stats import BackgroundStats
from explain.reasons.catalogue import Catalogue
from explain.record.parts import (
    AttributionPart,
    CataloguePart,
    ConfidencePart,
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
from explain.record.reason_settings import ReasonSettings
from explain.writing.feature_facts import FeatureFacts
from inference.packages.package import ModelPackage


def feature_parts(
    names: Sequence[str],
    values: NDArray[np.float32],
    typical: BackgroundStats,
    facts: Mapping[str, FeatureFacts],
) -> tuple[FeaturePart, ...]:
    """What the model was given, float32 (k,) in the order of `names`, with what it means."""
    return tuple(
        FeaturePart(
            name=name,
            value=finite(value),
            typical=finite(usual),
            unit=facts[name].unit,
            window=facts[name].window,
            delay=facts[name].delay,
            entity=facts[name].entity,
        )
        for name, value, usual in zip(names, values, typical.values, strict=True)
    )


def explanation_part(explanation: Explanation, groups: Sequence[str]) -> ExplanationPart:
    """An explanation with the names of its groups."""
    attributions = zip(groups, explanation.attributions, strict=True)
    return ExplanationPart(
        attributions=tuple(
            AttributionPart(group=group, value=finite(value), error=finite(explanation.error))
            for group, value in attributions
        ),
        baseline=finite(explanation.baseline),
        local=finite(explanation.local),
        r2=finite(explanation.r2),
        ess=finite(explanation.ess),
        stability=StabilityPart(vsi=finite(explanation.vsi), csi=finite(explanation.csi)),
        confident=explanation.confident,
    )


def model_part(
    package: ModelPackage, number: int | None, backend: str, precision: str
) -> ModelPart:
    """Which model answered, and on what; `number` is its version in the registry, if known."""
    return ModelPart(
        package=package.id,
        version=number,
        feature_schema=package.card.feature_schema_hash,
        training_data=package.card.data.sha256,
        backend=backend,
        precision=precision,
    )


def thresholds_part(
    review: SupportsFloat, decline: SupportsFloat, anomaly_review: SupportsFloat
) -> ThresholdsPart:
    """A policy's bounds for one model, which are ``inf`` for never."""
    return ThresholdsPart(
        review=finite(review), decline=finite(decline), anomaly_review=finite(anomaly_review)
    )


def explainer_part(
    package: ModelPackage, design: Design, explain: ExplainSettings, reasons: ReasonSettings
) -> ExplainerPart:
    """What explains a package's answers by these settings; `reproduce` reads them back."""
    groups = zip(design.groups.names, design.groups.features, strict=True)
    return ExplainerPart(
        groups=tuple(GroupPart(name=name, features=features) for name, features in groups),
        samples=explain.samples,
        seed=explain.seed,
        kernel_width=explain.kernel_width,
        top=explain.top,
        confidence=_confidence_part(explain),
        reasons=_telling_part(reasons),
        background=background_sha256(package.background),
        operator=design.sha256,
        runtime=_runtime(),
    )


def lime_explainer_part(
    package: ModelPackage, explain: ExplainSettings, reasons: ReasonSettings
) -> LimeExplainerPart:
    """What explains a package's answers as the `lime` package does."""
    chosen = explain.lime
    return LimeExplainerPart(
        groups=tuple(GroupPart(name=name, features=(name,)) for name in package.features.names),
        samples=chosen.num_samples,
        seed=explain.seed,
        kernel_width=chosen.kernel_width,
        discretizer=chosen.discretizer,
        categorical_features=chosen.categorical_features,
        sample_around_instance=chosen.sample_around_instance,
        feature_selection=chosen.feature_selection,
        num_features=chosen.num_features,
        confidence=_confidence_part(explain),
        reasons=_telling_part(reasons),
        background=background_sha256(package.background),
        runtime=_runtime(),
    )


def _confidence_part(explain: ExplainSettings) -> ConfidencePart:
    sure = explain.confidence
    return ConfidencePart(r2=sure.r2, ess=sure.ess, vsi=sure.vsi, gap=sure.gap)


def _telling_part(reasons: ReasonSettings) -> TellingPart:
    return TellingPart(at_most=reasons.at_most, least_share=reasons.least_share)


def _runtime() -> str:
    return f"weir {version('weir')}"


def catalogue_part(catalogue: Catalogue) -> CataloguePart:
    """Which catalogue the reasons are from."""
    return CataloguePart(name=catalogue.name, version=catalogue.version, sha256=catalogue.sha256)


def background_sha256(background: NDArray[np.float32]) -> str:
    """SHA-256 of a background's values, float32 (b, k), row by row, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(background, dtype="<f4").tobytes()).hexdigest()


def finite(value: SupportsFloat) -> float | None:
    """A number as a Python float; None for what JSON has no number for."""
    number = float(value)
    return number if math.isfinite(number) else None
