"""The ``[comparison]`` section."""

from typing import Literal

from pydantic import Field

from inference.shadow.comparison.rows import MOST_SLICED
from streams.base.section import Duration, Name, Section


class ComparisonSettings(Section):
    """The ``[comparison]`` section: what it takes to say that a candidate is better.

    Attributes:
        maturity: the age at which an event counts, with the label that is known by then; None for
            `labels.delay`. Labels that come early say nothing of those that come late.
        unlabelled: what an event without a label is once it is mature: ``legitimate``, where only
            frauds are reported, or ``left_out``, where both are.
        alpha: the share of false verdicts, over all looks and all candidates together.
        slice_by: fields of `feature_log.include`, three at most, by whose values figures are kept
            apart, too. The values are written down: name no field that names a person.
        cards_per_day: keys that can be looked at in a day, for the card precision.
        max_waiting: pairs of one candidate that are kept in each partition until they are mature,
            at 64 bytes each; where more would wait, of those with equal decisions only a share is
            kept, chosen by a hash, which then stands for the others.
    """

    maturity: Duration | None = None
    unlabelled: Literal["legitimate", "left_out"] = "legitimate"
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    slice_by: list[Name] = Field(default_factory=list, max_length=MOST_SLICED)
    cards_per_day: int = Field(default=100, ge=1)
    max_waiting: int = Field(default=1_000_000, ge=1_000)
