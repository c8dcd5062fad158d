"""What was found of a candidate in the shadow, as a record of the topic of comparisons."""

from typing import Any

from pydantic import Field

from inference.control.commands import ControlEntry, ModelVersion
from inference.shadow.comparison.comparison import Comparison, Verdict
from inference.shadow.comparison.report import as_dict
from inference.shadow.comparison.score_cells import score_cells
from streams.base.clock import now_ms

_SHADOW = "shadow/"


class ComparisonRecord(ControlEntry):
    """Under ``shadow/NAME``: a candidate beside the champion, at one look.

    Attributes:
        name: the candidate's.
        model: which model it is.
        champion: the first 12 digits of the package that it was compared with.
        policy: version of the policy by which the champion decided.
        verdict: on costs.
        found: the whole comparison, as `weir shadow compare --json` says it, and how many events
            have which scores of both.
        at: when, UTC milliseconds.
    """

    name: str
    model: ModelVersion
    champion: str
    policy: str
    verdict: Verdict
    found: dict[str, Any] = Field(default_factory=dict)
    at: int

    @classmethod
    def of(cls, name: str, model: ModelVersion, compared: Comparison) -> "ComparisonRecord":
        """The record of one look."""
        between = compared.tally.between
        return cls(
            name=name,
            model=model,
            champion=between.champion,
            policy=between.policy,
            verdict=compared.verdict,
            found=_plain(
                as_dict(compared) | {"score_cells": score_cells(compared.tally.similarity)}
            ),
            at=now_ms(),
        )

    @property
    def is_of_its_model(self) -> bool:
        """Whether what was compared is the model that the name stands for now."""
        return bool(self.found.get("candidate") == self.model.package[:12])


def comparison_key(name: str) -> str:
    """Under which a candidate's comparison stands."""
    return _SHADOW + name


def is_comparison(key: str) -> bool:
    """Whether a record of the topic of comparisons is one of the shadow."""
    return key.startswith(_SHADOW)


def _plain(value: Any) -> Any:
    """JSON has no infinity and no ``NaN``: None in their place."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
