"""Which rules fire for which events, in whole columns."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streams.events.conditions import Condition, Other
from streams.events.label_rules import LabelRule

Column = Callable[[str], pa.Array | pa.ChunkedArray]
"""A column by its name, of as many values as there are events; null or ``NaN`` where missing."""

SILENT, FIRES, ABSTAINS = 0, 1, -1

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">": pc.greater,
    ">=": pc.greater_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    "=": pc.equal,
    "!=": pc.not_equal,
}


def votes(rules: Sequence[LabelRule], column: Column, events: int) -> NDArray[np.int8]:
    """Return each rule's vote on each event, int8 (events, rules).

    1 where it fires, 0 where it does not, -1 where it abstains: no condition is known to fail, and
    one needs a value that is missing.
    """
    found = np.empty((events, len(rules)), np.int8)
    for place, rule in enumerate(rules):
        fires = None
        for condition in rule.conditions:
            holds = _holds(condition, column)
            fires = holds if fires is None else pc.and_kleene(fires, holds)
        found[:, place] = pc.fill_null(pc.cast(fires, pa.int8()), ABSTAINS).to_numpy()
    return found


def _holds(condition: Condition, column: Column) -> Any:
    left, right = _known(column(condition.name)), condition.right
    if isinstance(right, Other):
        other = pc.multiply(_known(column(right.name)).cast(pa.float64()), right.times)
        return _COMPARE[condition.sign](left.cast(pa.float64()), other)
    if type(right) is tuple:
        inside = pc.if_else(
            pc.is_null(left), pa.scalar(None, pa.bool_()), pc.is_in(left, pa.array(right))
        )
        return pc.invert(inside) if condition.sign == "not in" else inside
    return _COMPARE[condition.sign](left, right)


def _known(values: pa.Array | pa.ChunkedArray) -> Any:
    """The same with null for ``NaN``, numbers as float64, and text as plain text."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return values.cast(pa.string())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = values.cast(pa.float64(), safe=False)
        return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    return values
