"""The ``[canary]`` section."""

from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator

from streams.base.section import Duration, Name, Section


class CanarySettings(Section):
    """The ``[canary]`` section: how a canary steps up, and what rolls it back.

    Attributes:
        group: consumer group of the keepers, one of which is at work.
        steps: shares of the keys, one after the other.
        hold: event time that a step lasts at least.
        min_events: that the canary answered in a step.
        patience: for an arm's answer to its part of a batch, where no deadline of the policy leaves
            less, or the champion takes half as long itself.
        max_failures: the rate of its events to which it may answer with an error or no number.
        max_alert_ratio: how many times the champion's alerts (reviewed or declined, of keys) the
            canary's may be, or how many times fewer.
        false_alarms: time in which a canary that is right is rolled back once, in the mean.
        every: how often the keeper looks.
        automatic: what the keeper does without a person: ``steps`` of a canary that somebody has
            begun; ``start``: it also begins a canary with a candidate of the shadow that has passed
            the other gates; ``promotion``: it also makes one champion that has passed all.
    """

    group: Name = "weir-canary"
    steps: tuple[float, ...] = (0.01, 0.05, 0.25, 1.0)
    hold: Duration = Field(default=86_400_000, ge=0)
    min_events: int = Field(default=1_000, ge=0)
    patience: Duration = Field(default=100, gt=0)
    max_failures: float = Field(default=0.001, gt=0, lt=1)
    max_alert_ratio: float = Field(default=2.0, gt=1)
    false_alarms: Duration = Field(default=365 * 86_400_000, gt=0)
    every: Duration = Field(default=5_000, ge=100)
    automatic: Literal["steps", "start", "promotion"] = "steps"

    @field_validator("steps")
    @classmethod
    def _steps_ascend(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if not steps or any(not 0 < each <= 1 for each in steps):
            raise ValueError("steps are shares above 0, up to 1")
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError("each step is larger than the one before")
        return steps

    def after(self, share: float, most: float = 1.0) -> float | None:
        """The step after a share; None after the last one.

        Args:
            most: what other arms leave; a step that is larger ends there.
        """
        steps = (min(step, most) for step in self.steps)
        return next((step for step in steps if step > share + 1e-9), None)
