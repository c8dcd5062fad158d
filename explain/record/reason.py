"""One reason for a decision, as an explanation record holds it."""

from typing import Literal

from explain.record.parts import LogOdds, Part

Standing = Literal["high", "low", "typical", "missing"]
"""How a value stands to the typical one."""


class Reason(Part, frozen=True, kw_only=True):
    """What raised the risk, in words.

    Attributes:
        code: of the catalogue's entry.
        group: the explainer's group of features; None for the fallback.
        feature: whose value is shown; None where none stands for the group.
        direction: of the value, seen from the typical one.
        value: of the feature; None where it is missing, or there is no feature.
        typical: the background's median of the feature.
        unit: of both.
        contribution: of the group, in log-odds of fraud; None for the fallback.
        analyst: text by language.
        customer: text by language; it reveals no threshold.
        adverse_action: whether it may stand in a notice of an adverse action.
    """

    code: str
    group: str | None
    feature: str | None
    direction: Standing | None
    value: float | None
    typical: float | None
    unit: str | None
    contribution: LogOdds | None
    analyst: dict[str, str]
    customer: dict[str, str]
    adverse_action: bool
