"""The ``[explain]`` section."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from explain.exact.settings import LimeSettings
from inference.policy.policy import Decision
from streams.base.section import Duration, Name, Section, WorkerSection


class ConfidenceSettings(Section):
    """The ``[explain.confidence]`` section: below these an explanation is of low confidence."""

    r2: float = Field(default=0.5, ge=0, le=1, description="least share of variance explained")
    ess: float = Field(
        default=200, gt=0, allow_inf_nan=False, description="least effective number of samples"
    )
    vsi: float = Field(default=0.7, ge=0, le=1, description="least agreement over seeds")
    gap: float = Field(
        default=2.0, gt=0, allow_inf_nan=False, description="largest |local - model|, in log-odds"
    )


class ExplainSettings(WorkerSection):
    """The ``[explain]`` section: how flagged decisions are explained.

    Attributes:
        mode: ``inline``: the scorer attaches reasons to the score; ``stream``: `weir explainer`
            reads the feature log and writes explanations apart; ``off``: neither.
        method: ``operator``: `explain.lime`; ``lime``: what the `lime` package computes, for those
            who have to show the published method.
        decisions: which of them are explained.
        samples: perturbed events per explanation, a power of two.
        seed: of the perturbations, which a package's id makes its own.
        kernel_width: of LIME's kernel, times the root of the number of groups.
        top: so many attributions count when stability is judged.
        budget: inline, the time for one batch's explanations; what does not fit is ``pending``.
        group: consumer group of the explainer; also the base of its transactional ids.
        session_timeout: after this the group takes a silent member's partitions away.
        transaction_timeout: after this the cluster aborts a transaction that is still open.
        key_ring: file with the keys of tokens; None leaves keys of events out of records, and says
            openly where the events are.
        groups: features that are kept or replaced together, by name; every other feature is a
            group of its own.
        lime: parameters of the method ``lime``, which has no use for `samples`, `kernel_width`,
            `top` and `groups`.
    """

    mode: Literal["off", "inline", "stream"] = "stream"
    method: Literal["operator", "lime"] = "operator"
    decisions: tuple[Decision, ...] = ("review", "decline")
    samples: int = Field(default=512, ge=128, le=16_384)
    seed: int = Field(default=0, ge=0)
    kernel_width: float = Field(default=0.75, gt=0, allow_inf_nan=False)
    top: int = Field(default=5, ge=1)
    budget: Duration = Field(default=20, gt=0)
    confidence: ConfidenceSettings = ConfidenceSettings()
    group: Name = "weir-explainer"
    session_timeout: Duration = Field(default=10_000, gt=0)
    transaction_timeout: Duration = Field(default=30_000, gt=0)
    key_ring: Path | None = None
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    lime: LimeSettings = LimeSettings()

    @field_validator("samples")
    @classmethod
    def _power_of_two(cls, samples: int) -> int:
        if samples & (samples - 1):
            raise ValueError(f"{samples} is no power of two, such as 512, 1024 or 2048")
        return samples

    @field_validator("groups")
    @classmethod
    def _disjoint(cls, groups: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        seen: dict[str, str] = {}
        for name, features in groups.items():
            if not features:
                raise ValueError(f"group {name!r} has no features")
            for feature in features:
                if feature in seen:
                    raise ValueError(
                        f"feature {feature!r} is in the groups {seen[feature]!r} and {name!r}"
                    )
                seen[feature] = name
        return groups

    @model_validator(mode="after")
    def _without_groups(self) -> Self:
        if self.method == "lime" and self.groups:
            raise ValueError(
                'explain.method = "lime" explains each feature by itself: leave explain.groups '
                'out, or set explain.method = "operator"'
            )
        return self
