"""The policy: from a model's answers to approve, review or decline."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_serializer, model_validator

from inference.engine.protocol import Outputs
from inference.errors import InferenceError
from inference.packages.thresholds import ThresholdError, Thresholds
from inference.policy.costs import CostSettings
from streams.base.section import Duration, Section

APPROVE, REVIEW, DECLINE = 0, 1, 2
Decision = Literal["approve", "review", "decline"]
DECISIONS: tuple[Decision, ...] = ("approve", "review", "decline")
"""Names of the decisions, by their code."""
CODES: Mapping[str, int] = {name: code for code, name in enumerate(DECISIONS)}
"""And the codes by the names."""

PolicyName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\P{C}*$")]
"""A policy's version. It stands in each score and in lines of the log: short, on one line."""


class PolicyError(InferenceError):
    """The policy's bounds contradict each other or the model's thresholds."""


class PolicySettings(Section):
    """The ``[policy]`` section, versioned apart from the model.

    A bound is a calibrated probability, or an alert rate: the share of events at or above it, as
    on the model's hold-out rows. So `review_alert_rate` counts the declined ones too. An alert rate
    of 0 switches the decision off. Where neither is set, the bound that came with the model holds.
    """

    version: PolicyName = "1"
    review_probability: float | None = Field(default=None, ge=0, le=1)
    review_alert_rate: float | None = Field(default=None, ge=0, lt=1)
    decline_probability: float | None = Field(default=None, ge=0, le=1)
    decline_alert_rate: float | None = Field(default=None, ge=0, lt=1)
    anomaly_review: float | None = Field(default=None, ge=0, le=1)
    """Send to review what is at least this anomalous, however low its fraud probability."""
    deadline: Duration | None = Field(default=None)
    """An event has to be answered within this time of its Kafka timestamp: `fallback` answers those
    that the model would answer too late. None: the model answers all."""
    fallback: Decision = "review"
    costs: CostSettings | None = None
    """What candidates are judged by; None for nothing."""

    @field_serializer("deadline")
    def _with_its_unit(self, deadline: int | None) -> str | None:
        return None if deadline is None else f"{deadline}ms"

    @model_validator(mode="after")
    def _each_bound_is_said_once(self) -> "PolicySettings":
        for decision in ("review", "decline"):
            probability, rate = f"{decision}_probability", f"{decision}_alert_rate"
            if getattr(self, probability) is not None and getattr(self, rate) is not None:
                raise ValueError(f"set either {probability} or {rate}, not both")
        return self


class Policy:
    """Settings resolved against one model's thresholds.

    Attributes:
        settings: what it was made of.
        version: the policy's version.
        review: probability from which an event is reviewed; ``inf`` for never.
        decline: probability from which it is declined; ``inf`` for never.
        anomaly_review: anomaly from which it is reviewed, or ``inf``.
        deadline: within which an event has to be answered, in milliseconds; None for any.
        fallback: code of the decision where there is no time for the model.

    Raises:
        PolicyError: the decline bound is below the review bound, or an alert rate is outside the
            model's table.
    """

    def __init__(self, settings: PolicySettings, thresholds: Thresholds) -> None:
        self.settings = settings
        self.version = settings.version
        self.deadline = settings.deadline
        self.fallback = DECISIONS.index(settings.fallback)
        self.review = _bound(
            settings.review_probability, settings.review_alert_rate, "review", thresholds
        )
        self.decline = _bound(
            settings.decline_probability, settings.decline_alert_rate, "decline", thresholds
        )
        self.anomaly_review = np.float32(
            np.inf if settings.anomaly_review is None else settings.anomaly_review
        )
        if self.decline < self.review and np.isfinite(self.review):
            raise PolicyError(
                f"policy {self.version}: declining from {self.decline:g} on is below reviewing "
                f"from {self.review:g} on: lower policy.review_… or raise policy.decline_…"
            )

    def decide(self, outputs: Outputs) -> NDArray[np.int8]:
        """Return one decision code per row, shape (n,); see `DECISIONS`.

        A row with any ``NaN`` answer is never approved: it is reviewed at least, because a model
        that has no answer must not wave a payment through.
        """
        score, probability, anomaly = outputs
        review = (probability >= self.review) | (anomaly >= self.anomaly_review)
        review |= np.isnan(score) | np.isnan(probability) | np.isnan(anomaly)
        codes = review.astype(np.int8)
        codes[probability >= self.decline] = DECLINE
        return codes


def _bound(
    probability: float | None, alert_rate: float | None, decision: str, thresholds: Thresholds
) -> np.float32:
    """Resolve one bound; float32, as the probabilities that it will be compared with."""
    if probability is not None:
        return np.float32(probability)
    if alert_rate is None:
        return np.float32(getattr(thresholds, decision))
    if alert_rate == 0:
        return np.float32(np.inf)
    try:
        return np.float32(thresholds.probability_at(alert_rate))
    except ThresholdError as error:
        raise PolicyError(f"policy.{decision}_alert_rate: {error}") from error
