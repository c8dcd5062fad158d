"""What decisions cost, as the policy says it."""

from typing import Self

from pydantic import Field, model_validator

from streams.base.section import Name, Section


class CostSettings(Section):
    """The ``[policy.costs]`` section, in the currency of amounts: what a decision costs.

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

    @model_validator(mode="after")
    def _margin_leaves_something_to_show(self) -> Self:
        most = max(self.cap, self.friction, self.review)
        if self.margin >= most:
            raise ValueError(
                f"margin = {self.margin:g} is what no decision can cost more, {most:g} at most: "
                "it is by so much per event that a candidate may cost more"
            )
        return self
