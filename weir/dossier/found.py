"""What records of the topic of comparisons hold, in types.

Whoever may write there may write anything. What a newer Weir adds is passed over.
"""

import math
from typing import Annotated

from pydantic import Field

from inference.control.commands import Lenient
from inference.shadow.comparison.score_cells import SCORE_BINS

Count = Annotated[int, Field(ge=0, lt=2**63)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e18, le=1e18)]
Figure = Number | None
"""None where there was no such figure, or an infinite one."""
Bin = Annotated[int, Field(ge=0, lt=SCORE_BINS)]
Interval = tuple[Figure, Figure] | None
Arms = Annotated[tuple[Number, ...], Field(min_length=2, max_length=8)]
"""A figure of each arm, the champion's first and the canary's second."""


class Right(Lenient):
    """Events of one class, the shares that each decided rightly, and who was right alone."""

    events: Count
    champion: Figure
    candidate: Figure
    only_champion_right: Count
    only_candidate_right: Count


class Costs(Lenient):
    """What decisions cost, as `[policy.costs]` said it then."""

    amount: str
    cap: Number
    friction: Number
    review: Number
    margin: Number = 0.0


class Needed(Lenient):
    """Labels still needed, and a bootstrap's ends of 10 % and 90 %; None: not in sight."""

    labels: Count | None
    low: Count | None = None
    high: Count | None = None


class Hidden(Lenient):
    """What declines hide; see `inference.shadow.comparison.censored.Censored`."""

    events: Count
    let_through: Count
    only_bounded: Count
    bounds: Interval


class CostFigures(Lenient):
    """The evidence on costs; see `inference.shadow.comparison.comparison.CostVerdict`."""

    alpha: float = Field(gt=0, lt=1)
    costs: Costs
    log_better: Figure
    log_no_worse: Figure
    log_worse: Figure
    mean: Figure
    interval: Interval
    events: Count
    discordant: Count
    without_amount: Count = 0
    labels_needed: Needed
    censored: Hidden | None = None

    @property
    def bound(self) -> float:
        """From which evidence on there is a verdict."""
        return -math.log(self.alpha)


class Curve(Lenient):
    """A figure of the ranking, and the interval of the difference."""

    champion: Figure
    candidate: Figure
    interval: Interval


class MatchedFlips(Lenient):
    """Who alerts alone where both alert on about equally many."""

    champion_rate: Number
    candidate_rate: Number
    champion_only: Count
    candidate_only: Count


class SliceFigures(Lenient):
    """Events of one value of a field."""

    value: str | bool | int | float | None
    events: Count
    flips: Count
    saved: Figure = None


class Found(Lenient):
    """A whole comparison, as `weir shadow compare --json` says it."""

    candidate: str
    champion: str
    policy: str
    events: Count
    left_out: dict[str, Count] = Field(default_factory=dict)
    shed: Count = 0
    decisions: dict[str, dict[str, Count]]
    amounts: dict[str, dict[str, Figure]]
    flips_at_rate: tuple[MatchedFlips, ...] = ()
    spearman: Figure = None
    mature: Count
    waiting: Count
    watermark: int | None
    unlabelled: Count
    corrected: Count
    recall: Right
    friction: Right
    cost: CostFigures | None
    average_precision: Curve | None
    auc: Curve | None
    score_cells: tuple[tuple[Bin, Bin, Count], ...] = Field(default=(), max_length=SCORE_BINS**2)
    slices: dict[str, Annotated[tuple[SliceFigures, ...], Field(max_length=50)]] = Field(
        default_factory=dict, max_length=50
    )


class GuardrailFigures(Lenient):
    """What one guardrail of a canary has seen; that of the split has no events of its own."""

    events: Count | None = None
    total: Count | None = None
    log_evidence: Figure
    alarm_from: Number
    alarm: bool


class CanaryFigures(Lenient):
    """What the keeper of a canary had seen in this step."""

    shares: Arms
    events: Arms
    answered: Arms
    keys: Arms
    alerts: Arms
    lasted_ms: int | None = None
    guardrails: dict[str, GuardrailFigures] = Field(default_factory=dict)
