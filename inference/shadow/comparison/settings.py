"""The ``[comparison]`` section, and what decisions cost."""

from typing import Literal

from pydantic import Field

from inference.shadow.comparison.rows import MOST_SLICED
from inference.shadow.statistics.costs import Costs
from streams.base.section import Duration, Name, Section


class CostSettings(Section):
    """The ``[comparison.costs]`` section, in the currency of amounts.

    Attributes:
        amount: the field of the event that says what is at stake; `feature_log.include` has to name
            it.
        cap: the most that a missed fraud counts for: the worst case bounds the evidence. The
            99.5 % quantile of amounts is a good choice.
        friction: what a declined legitimate event costs.
        review: what looking at an event costs.
        margin: by how much more per event a candidate may cost and still be no worse.
    """

    amount: Name = "amount"
    cap: float = Field(gt=0, allow_inf_nan=False)
    friction: float = Field(gt=0, allow_inf_nan=False)
    review: float = Field(gt=0, allow_inf_nan=False)
    margin: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    def costs(self) -> Costs:
        """Of the decisions, as statistics take them."""
        return Costs(self.cap, self.friction, self.review)


class ComparisonSettings(Section):
    """The ``[comparison]`` section: what it takes to say that a candidate is better.

    Attributes:
        maturity: the age at which an event counts, with the label that is known by then; None for
            `labels.delay`. Labels that come early say nothing of those that come late.
        unlabelled: what an event without a label is once it is mature: ``legitimate``, where only
            frauds are reported, or ``left_out``, where both are.
        alpha: the share of false verdicts, over all looks and all candidates together.
        costs: what the verdict is about; None for none.
        slice_by: fields of `feature_log.include`, three at most, by whose values figures are kept
            apart, too. The values are written down: name no field that names a person.
        max_waiting: pairs of one candidate that are kept in each partition until they are mature,
            at 56 bytes each; where more would wait, of those with equal decisions only a share is
            kept, chosen by a hash, which then stands for the others.
    """

    maturity: Duration | None = None
    unlabelled: Literal["legitimate", "left_out"] = "legitimate"
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    costs: CostSettings | None = None
    slice_by: list[Name] = Field(default_factory=list, max_length=MOST_SLICED)
    max_waiting: int = Field(default=1_000_000, ge=1_000)
