"""The catalogue of reasons: what a feature's value is called in a decision's explanation."""

import hashlib
import json
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from explain.errors import ExplainError
from explain.reasons.intervals import EVERYTHING, Interval
from streams.base.section import Section

HIGH, LOW, TYPICAL, MISSING = "high", "low", "typical", "missing"
"""How a value stands to the typical one: above it, below it, at it; or there is none."""

ANY = "any"

DIRECTIONS = {HIGH: (HIGH,), LOW: (LOW,), MISSING: (MISSING,), ANY: (HIGH, LOW, TYPICAL, MISSING)}
"""By an entry's direction, those of the values that it is for."""

Direction = Literal["high", "low", "any", "missing"]

Shown = Literal["number", "percent", "duration"]
"""How texts show a value; a duration is in seconds."""


class Band(Section):
    """Values from `at_least` on and below `below`; either may be left out."""

    at_least: float | None = Field(default=None, allow_inf_nan=False)
    below: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("give at_least, below or both, or leave the band out")
        low, high = self.span
        if low >= high:
            raise ValueError(f"no value is at least {low:g} and below {high:g}")
        return self

    @property
    def span(self) -> Interval:
        """The band as an interval."""
        low = -math.inf if self.at_least is None else self.at_least
        return low, math.inf if self.below is None else self.below


class Wording(Section):
    """A code and what it says, by language; `adverse_action`: whether it may stand in a notice.

    The notice is that of an adverse action, which asks for specific reasons.
    """

    code: str = Field(min_length=1, max_length=40)
    analyst: dict[str, str]
    customer: dict[str, str]
    adverse_action: bool


class Fallback(Wording):
    """What is said when no reason can be: the explanation is unsure, or no entry fits."""

    adverse_action: bool = False


class Entry(Wording):
    """What is said when a feature, or a group of features, raised the risk.

    Attributes:
        feature: whose value this is about; or
        group: a group of the explainer's, and
        by: the feature whose value stands for the group. Without it an entry is for all values.
        direction: of the value, seen from the typical one.
        band: which values it is for; None for all.
        show: how the texts show the value.
    """

    feature: str | None = None
    group: str | None = None
    by: str | None = None
    direction: Direction
    band: Band | None = None
    show: Shown = "number"
    adverse_action: bool = True

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        if (self.feature is None) == (self.group is None):
            raise ValueError("name either a feature or a group")
        if self.feature is not None and self.by is not None:
            raise ValueError("by is for groups: remove it, the feature stands for itself")
        if self.judged is None and (self.direction != ANY or self.band is not None):
            raise ValueError(
                f"group {self.group!r} has no value of its own to be {self.direction} or within a "
                "band: name the feature that stands for it with by, or write direction = 'any'"
            )
        if self.direction == MISSING and self.band is not None:
            raise ValueError("a missing value is in no band: remove band")
        return self

    @property
    def subject(self) -> str:
        """The name of the feature or group."""
        return str(self.feature or self.group)

    @property
    def judged(self) -> str | None:
        """The feature whose value decides, and is shown; None if none does."""
        return self.feature or self.by

    @property
    def span(self) -> Interval:
        """The values that are not missing for which this is."""
        return EVERYTHING if self.band is None else self.band.span


class Catalogue(Section):
    """All entries, in the order in which they are tried: the first that fits speaks.

    Attributes:
        name: of the catalogue.
        version: raised with every change; both stand in each record.
        languages: that every text is written in, such as ``["en", "de"]``.
        customer_values: let texts for the customer show the event's own value.
        fallback: what is said where nothing else is.
        entries: the reasons.
    """

    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    languages: tuple[str, ...] = Field(min_length=1)
    customer_values: bool = False
    fallback: Fallback
    entries: tuple[Entry, ...] = Field(min_length=1)

    def told_in(self, asked: Sequence[str]) -> tuple[str, ...]:
        """The languages of `asked`, or all of the catalogue's where that is empty.

        Raises:
            ExplainError: the catalogue lacks one; names the setting.
        """
        for language in asked:
            if language not in self.languages:
                raise ExplainError(
                    f"reasons.languages: the catalogue {self.name} {self.version} has no texts in "
                    f"{language!r}, only in {', '.join(self.languages)}: write them, or name others"
                )
        return tuple(asked) or self.languages

    @cached_property
    def sha256(self) -> str:
        """Of all that the catalogue says, as hex digits; comments and spacing do not count."""
        text = json.dumps(
            self.model_dump(mode="json", exclude_defaults=True),
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )
        return hashlib.sha256(text.encode()).hexdigest()
