"""How a feature is written in ``weir.toml``: one ``[[features]]`` table each."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from streams.base.section import Duration, Name, Section, TimeZone

WindowAggregate = Literal[
    "count", "sum", "mean", "min", "max", "std", "distinct", "last", "time_since"
]

_EMPTY_IS_ZERO = {"count", "sum", "distinct"}
_OVER_A_FIELD = {"sum", "mean", "min", "max", "std", "distinct", "last"}
_BEFORE_THE_EVENT = {"last", "time_since"}


class _Named(Section):
    name: Name


class _Windowed(_Named):
    entity: str
    window: Duration

    @model_validator(mode="after")
    def _window_is_long(self) -> Self:
        if self.window <= 0:
            raise ValueError(f"feature {self.name!r}: window must be longer than 0")
        return self


class FieldFeature(_Named):
    """The value of a numeric or boolean field of the event itself."""

    kind: Literal["field"]
    field: str


class CalendarFeature(_Named):
    """A part of the event's time, in the given time zone.

    ``weekday`` counts from Monday = 0; ``weekend`` and ``night`` are 0 or 1; a night lasts from
    the first to the last of `hours`, both included, over midnight where the first is the larger.
    """

    kind: Literal["calendar"]
    part: Literal["hour", "weekday", "day_of_month", "month", "weekend", "night"]
    timezone: TimeZone = "UTC"
    hours: tuple[int, int] = (0, 6)

    @field_validator("hours")
    @classmethod
    def _hours_are_hours(cls, hours: tuple[int, int]) -> tuple[int, int]:
        if not all(0 <= hour <= 23 for hour in hours):
            raise ValueError("hours are two numbers of 0 to 23")
        return hours


class WindowFeature(_Windowed):
    """An aggregate over an entity's events in the window ``(t - delay - window, t - delay]``.

    The event itself is in its own window when there is no delay. ``last`` (the field's latest
    value) and ``time_since`` (seconds since the latest event) look strictly before the event.
    ``std`` is the sample standard deviation (n - 1). Missing values of the field are left out;
    ``count`` without a field counts events. `empty` stands where a window holds no value: by
    default 0 for ``count``, ``sum`` and ``distinct`` and NaN for the others.
    """

    kind: Literal["window"]
    aggregate: WindowAggregate
    field: str | None = None
    delay: Duration = 0
    empty: float | None = None

    @model_validator(mode="after")
    def _field_fits_the_aggregate(self) -> "WindowFeature":
        where = f"feature {self.name!r}: aggregate = {self.aggregate!r}"
        if self.aggregate in _OVER_A_FIELD and self.field is None:
            raise ValueError(f"{where} needs a field: write which, like field = 'amount'")
        if self.aggregate == "time_since" and self.field is not None:
            raise ValueError(f"{where} takes no field, it looks at events: remove field")
        if self.aggregate in _BEFORE_THE_EVENT and self.delay:
            raise ValueError(f"{where} takes no delay, it looks at the latest: remove delay")
        return self

    @property
    def empty_value(self) -> float:
        """What stands for a window without values."""
        if self.empty is not None:
            return self.empty
        return 0.0 if self.aggregate in _EMPTY_IS_ZERO else math.nan


class HistoryRatioFeature(_Windowed):
    """The event's value divided by the mean of the entity's earlier values in ``(t - window, t]``.

    `empty` stands where there are no earlier values or their mean is zero.
    """

    kind: Literal["history_ratio"]
    field: str
    empty: float = math.nan


class LabelFeature(_Windowed):
    """Frauds among an entity's events in ``(t - delay - window, t - delay]``: a count or a rate.

    An event counts as fraud once a label said so. `delay` must be at least the time that labels
    take (``labels.delay``), so that the feature never looks at what is not yet known.
    """

    kind: Literal["label"]
    aggregate: Literal["count", "rate"]
    delay: Duration
    empty: float = 0.0


FeatureDeclaration = Annotated[
    FieldFeature | CalendarFeature | WindowFeature | HistoryRatioFeature | LabelFeature,
    Field(discriminator="kind"),
]
"""One ``[[features]]`` table of the settings."""
