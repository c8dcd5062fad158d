"""A file's columns brought to the types of the event contract, by the rules of the stream.

What is written as most files have it is read a column at a time; the other cells one by one, by
the functions that read records. So both agree on every cell.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streams.events.contract import EventContract, Field
from streams.events.field_checks import read_field, read_fields, read_time
from streams.events.rejection import Finding, Reason
from streams.events.times import EARLIEST_MS, LATEST_MS, iso_ms, show_time, time_bounds, to_ms
from streams.events.values import INT64_MAX, INT64_MIN, BadValueError, boolean
from streams.files.cells import (
    cell,
    distinct,
    is_null,
    is_number,
    mask,
    one_by_one,
    plain,
    plain_integers,
)
from streams.files.row_checks import RowChecks

UNLABELLED = -1
"""Stands among labels for an event of which nothing is known."""

_WANTED = {"int": "an integer", "float": "a number", "bool": "true or false", "string": "a string"}
_ARROW = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "string": pa.large_string()}
# The form in which Arrow reads what `number` does. A zero without a fraction has no sign.
_NUMBER = r"^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$"
_PLAIN_FLOAT = (
    r"^(?:0|-?[1-9][0-9]{0,30}|-?[0-9]{1,30}\.[0-9]{1,30}(?:[eE][+-]?[0-9]{1,2})?"
    r"|-?[0-9]{1,30}[eE][+-]?[0-9]{1,2})$"
)


def to_times(
    column: Any, contract: EventContract, now_ms: int, checks: RowChecks
) -> NDArray[np.int64]:
    """Event times, UTC milliseconds, as an event of the contract can carry them; shape (n,).

    Args:
        column: timestamps or dates (naive ones are UTC), numbers in ``event.time_format``, or
            text.
        now_ms: the clock.
        checks: gets the rows without a usable time; theirs is 0.

    Raises:
        ValueError: the column holds no times.
    """
    name = contract.time
    array = plain(column, name)
    checks.reject(is_null(array), Reason.NULL_FIELD, name)
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        times = _timestamps(array)
        wrong = (times < EARLIEST_MS) | (times > LATEST_MS)
        checks.reject(wrong, Reason.BAD_TIME, name)
        times = np.where(wrong, 0, times)
    else:
        times = _counts_or_text(array, contract, checks)
    checks.reject(times > now_ms + contract.max_future, Reason.FROM_THE_FUTURE, name)
    checks.reject(times < contract.min_time, Reason.BEFORE_MIN_TIME, name)
    if contract.time_format == "s":
        # An event carries no fraction of a second then, and features must see what it carries.
        times = times // 1000 * 1000
    return times


def to_field(name: str, field: Field, column: Any, checks: RowChecks) -> Any:
    """An Arrow array of int64, float64, bool or large_string that keeps to the contract.

    Args:
        checks: gets the rows that do not keep to it; their values mean nothing.

    Raises:
        ValueError: the column's type does not fit the field's.
    """
    array = plain(column, name)
    if field.required:
        checks.reject(is_null(array), Reason.NULL_FIELD, name)
    match field.type:
        case "int":
            array = _to_int(name, field, array, checks)
        case "float":
            array = _to_float(name, field, array, checks)
        case "bool":
            array = _to_bool(name, field, array, checks)
        case "string":
            if not pa.types.is_large_string(array.type):
                raise _unfit(name, array.type, field.type)
    low, high = field.int_bounds if field.type == "int" else (field.min, field.max)
    for bound, breaks in ((low, pc.less), (high, pc.greater)):
        if bound is not None and bound not in (INT64_MIN, INT64_MAX):
            limit = pa.scalar(bound, _ARROW[field.type])
            checks.reject(mask(breaks(array, limit)), Reason.OUT_OF_BOUNDS, name)
    if field.max_length is not None:
        too_long = pc.greater(pc.utf8_length(array), field.max_length)
        checks.reject(mask(too_long), Reason.TOO_LONG, name)
    return array


def to_labels(name: str, column: Any) -> NDArray[np.int8]:
    """Labels as 1 (fraud), 0 (legitimate) or `UNLABELLED` where null; shape (n,).

    Raises:
        ValueError: the column holds something else.
    """
    values, places = distinct(plain(column, name))
    labels = np.full(len(values) + 1, UNLABELLED, np.int8)
    for i, value in enumerate(values):
        try:
            labels[i] = boolean(value)
        except BadValueError as error:
            row = int(np.argmax(places == i)) + 1
            raise ValueError(
                f"label column {name!r} holds {value!r} in row {row}: "
                "labels are 1 or true for fraud, 0 or false for legitimate, and null for unknown"
            ) from error
    chosen: NDArray[np.int8] = labels[places]
    return chosen


def explain(contract: EventContract, table: Any, now_ms: int, name: str, row: int) -> str:
    """What is wrong with a cell, as the stream would say it of a record.

    Args:
        name: of a column of the table, which was rejected in that row.
        row: counted from 0.
    """
    one = table[name].slice(row, 1)
    if name != contract.time:
        contract = contract.model_copy(update={"fields": {name: contract.fields[name]}})
        pairs = [(contract.time, show_time(now_ms)), (name, cell(one, 0))]
    elif pa.types.is_temporal(one.type) and one[0].is_valid:
        contract = contract.model_copy(update={"fields": {}, "time_format": "ms"})
        pairs = [(name, int(_timestamps(plain(one, name))[0]))]
    else:
        contract = contract.model_copy(update={"fields": {}})
        pairs = [(name, cell(one, 0))]
    finding = read_fields(contract, pairs, now_ms)
    return finding.detail if isinstance(finding, Finding) else f"{name!r} breaks the contract"


def _timestamps(array: Any) -> NDArray[np.int64]:
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(array.type) else "ms"))
    raw = array.cast(pa.int64()).fill_null(0).to_numpy()
    if array.type.unit == "s":
        raw = np.clip(raw, EARLIEST_MS // 1000 - 1, LATEST_MS // 1000 + 1)
    return to_ms(raw, array.type.unit)


def _counts_or_text(array: Any, contract: EventContract, checks: RowChecks) -> NDArray[np.int64]:
    """Milliseconds of numbers in ``event.time_format`` or of text; 0 where there are none."""
    name, unit, kind = contract.time, contract.time_format, array.type
    text = pa.types.is_large_string(kind)
    if unit == "iso":
        if not text:
            raise ValueError(
                f"column {name!r} is {kind}, and event.time_format is 'iso': "
                "for counts since 1970 set it to 's', 'ms' or 'us'"
            )
        times, wrong = iso_ms(array)
        checks.reject(wrong, Reason.BAD_TIME, name)
        return times
    if not (text or is_number(kind)):
        raise ValueError(
            f"column {name!r} is {kind}, and event times are timestamps, integers or ISO-8601 text"
        )
    low, high = time_bounds(unit)
    counts, left = plain_integers(array)
    left |= (counts < low) | (counts > high)
    times = to_ms(np.where(left, 0, counts), unit)
    if text and left.any():
        dates = array.filter(pa.array(left))
        numbers = mask(pc.match_substring_regex(dates, _NUMBER))
        read, wrong = iso_ms(dates.filter(pa.array(~numbers)))
        rows = np.flatnonzero(left)[~numbers][~wrong]
        times[rows] = read[~wrong]
        left[rows] = False

    def by_one(value: Any) -> int:
        return int(to_ms(np.array(read_time(unit, value)), unit))

    one_by_one(name, array, left, by_one, times, checks)
    return times


def _to_int(name: str, field: Field, array: Any, checks: RowChecks) -> Any:
    if not (pa.types.is_large_string(array.type) or is_number(array.type)):
        raise _unfit(name, array.type, "int")
    values, left = plain_integers(array)
    one_by_one(name, array, left, lambda value: read_field(field, value), values, checks)
    return pa.array(values, mask=is_null(array))


def _to_float(name: str, field: Field, array: Any, checks: RowChecks) -> Any:
    kind = array.type
    if pa.types.is_large_string(kind) or pa.types.is_decimal(kind):
        # Through text, which Arrow reads as the nearest double; a decimal it only approximates.
        text = array.cast(pa.large_string())
        usual = pc.match_substring_regex(text, _PLAIN_FLOAT)
        values = pc.if_else(usual, text, None).cast(pa.float64()).fill_null(0.0).to_numpy().copy()
        left = ~mask(usual) & ~is_null(array)
        one_by_one(name, array, left, lambda value: read_field(field, value), values, checks)
    elif is_number(kind):
        values = array.cast(pa.float64(), safe=False).fill_null(0.0).to_numpy()
        checks.reject(np.isnan(values), Reason.NOT_A_NUMBER, name)
        checks.reject(np.isinf(values), Reason.INFINITE, name)
    else:
        raise _unfit(name, kind, "float")
    return pa.array(values, mask=is_null(array))


def _to_bool(name: str, field: Field, array: Any, checks: RowChecks) -> Any:
    kind = array.type
    if pa.types.is_boolean(kind):
        return array
    if not (pa.types.is_large_string(kind) or is_number(kind)):
        raise _unfit(name, kind, "bool")
    values, places = distinct(array)
    read = np.zeros(len(values) + 1, np.bool_)
    for i, value in enumerate(values):
        try:
            read[i] = boolean(value)
        except BadValueError as error:
            checks.reject(places == i, error.reason, name)
    return pa.array(read[places], mask=is_null(array))


def _unfit(name: str, kind: Any, wanted: str) -> ValueError:
    return ValueError(
        f"column {name!r} is {kind}, and event.fields declares {wanted!r}, {_WANTED[wanted]}: "
        "change the declaration or the file"
    )
