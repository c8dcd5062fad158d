"""Which values a declared feature can take."""

import math
from dataclasses import dataclass

from explain.reasons.intervals import EVERYTHING, Interval
from streams.events.contract import EventContract
from streams.features.declarations import (
    CalendarFeature,
    FeatureDeclaration,
    FieldFeature,
    HistoryRatioFeature,
    LabelFeature,
    WindowFeature,
)

_PARTS = {
    "hour": (0, 23),
    "weekday": (0, 6),
    "day_of_month": (1, 31),
    "month": (1, 12),
    "weekend": (0, 1),
    "night": (0, 1),
}


@dataclass(frozen=True)
class FeatureRange:
    """From the least to the greatest value, both included, and whether there may be none.

    Attributes:
        low: the least value, or ``-inf``.
        high: the greatest one, or ``inf``.
        whole: all of them are whole numbers.
        may_miss: there may be no value, ``NaN``.
    """

    low: float
    high: float
    whole: bool = False
    may_miss: bool = False

    @property
    def span(self) -> Interval:
        """The values as an interval; whole numbers reach up to the next one."""
        if math.isinf(self.high):
            return self.low, self.high
        return self.low, self.high + 1 if self.whole else math.nextafter(self.high, math.inf)

    def within(self, span: Interval) -> Interval:
        """The part of an interval that holds values of the feature; empty where ``low >= high``."""
        low, high = (math.ceil(end) if self.whole and math.isfinite(end) else end for end in span)
        own_low, own_high = self.span
        return max(low, own_low), min(high, own_high)


def range_of(declaration: FeatureDeclaration, contract: EventContract) -> FeatureRange:
    """The values that a feature of these events can take, as far as its declaration says it."""
    match declaration:
        case FieldFeature(field=field):
            low, high, whole = _field(field, contract)
            return FeatureRange(low, high, whole, not contract.fields[field].required)
        case CalendarFeature(part=part):
            low, high = _PARTS[part]
            return FeatureRange(low, high, whole=True)
        case LabelFeature(aggregate=aggregate, empty=empty):
            high = 1 if aggregate == "rate" else math.inf
            return _with_empty(0, high, aggregate == "count", empty)
        case HistoryRatioFeature(field=field, empty=empty):
            low, _, _ = _field(field, contract)
            return _with_empty(0 if low >= 0 else -math.inf, math.inf, False, empty)
        case WindowFeature():
            return _window(declaration, contract)


def _window(window: WindowFeature, contract: EventContract) -> FeatureRange:
    if window.field is None:
        if window.aggregate == "time_since":
            return _with_empty(0, window.window / 1000, False, window.empty_value)
        # The event is in its own window unless that ends earlier.
        return FeatureRange(0 if window.delay else 1, math.inf, whole=True)
    low, high, whole = _field(window.field, contract)
    before = window.delay > 0 or window.aggregate == "last"
    own_value = contract.fields[window.field].required and not before
    match window.aggregate:
        case "count" | "distinct":
            values = FeatureRange(1, math.inf, whole=True)
        case "std":  # of one value there is none
            return _with_empty(0, math.inf, False, window.empty_value)
        case "sum":
            values = FeatureRange(0 if low >= 0 else -math.inf, 0 if high <= 0 else math.inf, whole)
        case "mean":
            values = FeatureRange(low, high)
        case _:
            values = FeatureRange(low, high, whole)
    if own_value:
        return values
    return _with_empty(values.low, values.high, values.whole, window.empty_value)


def _field(name: str, contract: EventContract) -> tuple[float, float, bool]:
    """The least and the greatest value of a field, and whether all are whole numbers."""
    field = contract.fields[name]
    match field.type:
        case "bool":
            return 0, 1, True
        case "int":
            return *field.int_bounds, True
        case "float":
            low = -math.inf if field.min is None else field.min
            return low, math.inf if field.max is None else field.max, False
        case _:  # a string, which is only counted
            return *EVERYTHING, False


def _with_empty(low: float, high: float, whole: bool, empty: float) -> FeatureRange:
    """A range with the value that stands for an empty window."""
    if math.isnan(empty):
        return FeatureRange(low, high, whole, may_miss=True)
    return FeatureRange(min(low, empty), max(high, empty), whole and empty == round(empty))
