"""A file's columns brought to the types of the event contract, and checked as the stream does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streams.events.contract import (
    EARLIEST_MS,
    INT64_MAX,
    INT64_MIN,
    LATEST_MS,
    EventContract,
    Field,
)
from streams.events.rejection import Reason
from streams.files.csv_cells import parse_bool, parse_float, parse_int, parse_time
from streams.files.row_checks import RowChecks

UNLABELLED = -1
"""Stands among labels for an event of which nothing is known."""

_BEYOND_INT64 = 2.0**63
_WANTED = {"int": "an integer", "float": "a number", "bool": "true or false", "string": "a string"}


def to_times(
    column: Any, contract: EventContract, now_ms: int, checks: RowChecks
) -> NDArray[np.int64]:
    """Event times, UTC milliseconds, as an event of the contract can carry them; shape (n,).

    Args:
        column: timestamps or dates (naive ones are UTC), integers in ``event.time_format``, or
            ISO-8601 strings.
        now_ms: the clock.
        checks: gets the rows without a usable time; theirs is 0.

    Raises:
        ValueError: the column holds no times.
    """
    name = contract.time
    array = _plain(column, name)
    kind = array.type
    checks.reject(_is_null(array), Reason.NULL_FIELD, name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        times = _parse_times(array, contract, checks)
    elif pa.types.is_integer(kind):
        if contract.time_format == "iso":
            raise ValueError(
                f"column {name!r} holds integers, and event.time_format is 'iso': "
                "set event.time_format to 's', 'ms' or 'us'"
            )
        times = _from_integers(_to_int(name, array, checks), contract, checks)
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if pa.types.is_date(kind):
            array = array.cast(pa.timestamp("s" if pa.types.is_date32(kind) else "ms"))
        raw = array.cast(pa.int64()).fill_null(0).to_numpy()
        times = _to_ms(raw, array.type.unit)
    else:
        raise ValueError(
            f"column {name!r} is {kind}, and event times are timestamps, integers or ISO-8601 text"
        )
    wrong = (times < EARLIEST_MS) | (times > LATEST_MS)
    checks.reject(wrong, Reason.BAD_TIME, name)
    times = np.where(wrong, 0, times)
    checks.reject(times > now_ms + contract.max_future, Reason.FROM_THE_FUTURE, name)
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
    array = _plain(column, name)
    if field.required:
        checks.reject(_is_null(array), Reason.NULL_FIELD, name)
    match field.type:
        case "int":
            array = _to_int(name, array, checks)
        case "float":
            array = _to_float(name, array, checks)
        case "bool":
            array = _to_bool(name, array, checks)
        case "string":
            if not pa.types.is_large_string(array.type):
                raise _unfit(name, array.type, field.type)
    low, high = field.int_bounds if field.type == "int" else (field.min, field.max)
    for bound, breaks in ((low, pc.less), (high, pc.greater)):
        if bound is not None and bound not in (INT64_MIN, INT64_MAX):
            checks.reject(_mask(breaks(array, bound)), Reason.OUT_OF_BOUNDS, name)
    if field.max_length is not None:
        too_long = pc.greater(pc.utf8_length(array), field.max_length)
        checks.reject(_mask(too_long), Reason.TOO_LONG, name)
    return array


def to_labels(name: str, column: Any) -> NDArray[np.int8]:
    """Labels as 1 (fraud), 0 (legitimate) or `UNLABELLED` where null; shape (n,).

    Raises:
        ValueError: the column holds something else.
    """
    array = _plain(column, name)
    try:
        if pa.types.is_large_string(array.type):
            array = array.cast(pa.bool_())
        values = array.cast(pa.float64() if pa.types.is_floating(array.type) else pa.int64())
    except pa.ArrowException as error:
        raise ValueError(f"label column {name!r} is no label: {error}") from error
    labels: NDArray[Any] = values.fill_null(UNLABELLED).to_numpy()
    known = ~_is_null(array)
    wrong = known & (labels != 0) & (labels != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"label column {name!r} holds {labels[row]} in row {row + 1}: "
            "labels are 1 or true for fraud, 0 or false for legitimate, and null for unknown"
        )
    return labels.astype(np.int8)


def _to_int(name: str, array: Any, checks: RowChecks) -> Any:
    kind = array.type
    if pa.types.is_uint64(kind):
        checks.reject(
            _mask(pc.greater(array, pa.scalar(INT64_MAX, pa.uint64()))), Reason.OUT_OF_BOUNDS, name
        )
        return array.cast(pa.int64(), safe=False)
    if pa.types.is_integer(kind):
        return array.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        if pa.types.is_decimal(kind) and kind.scale == 0 and kind.precision <= 18:
            return array.cast(pa.int64())
        # What a tool without missing integers has written; whole numbers are what was meant.
        values = array.cast(pa.float64()).fill_null(0.0).to_numpy()
        _reject_non_finite(name, values, checks)
        checks.reject(values != np.floor(values), Reason.WRONG_TYPE, name)
        fits = (values >= -_BEYOND_INT64) & (values < _BEYOND_INT64)
        checks.reject(~fits, Reason.OUT_OF_BOUNDS, name)
        whole = np.where(fits, values, 0.0).astype(np.int64)
        return pa.array(whole, mask=_is_null(array))
    if pa.types.is_large_string(kind):
        return _parse(name, array, pa.int64(), parse_int, Reason.WRONG_TYPE, checks)
    raise _unfit(name, kind, "int")


def _to_float(name: str, array: Any, checks: RowChecks) -> Any:
    kind = array.type
    if pa.types.is_large_string(kind):
        array = _parse(name, array, pa.float64(), parse_float, Reason.WRONG_TYPE, checks)
    elif pa.types.is_integer(kind):
        array = array.cast(pa.float64(), safe=False)
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        array = array.cast(pa.float64())
    else:
        raise _unfit(name, kind, "float")
    _reject_non_finite(name, array.fill_null(0.0).to_numpy(), checks)
    return array


def _to_bool(name: str, array: Any, checks: RowChecks) -> Any:
    kind = array.type
    if pa.types.is_boolean(kind):
        return array
    if pa.types.is_integer(kind):
        wrong = pc.and_(pc.not_equal(array, 0), pc.not_equal(array, 1))
        checks.reject(_mask(wrong), Reason.WRONG_TYPE, name)
        return array.cast(pa.bool_())
    if pa.types.is_large_string(kind):
        return _parse(name, array, pa.bool_(), parse_bool, Reason.WRONG_TYPE, checks)
    raise _unfit(name, kind, "bool")


def _parse_times(array: Any, contract: EventContract, checks: RowChecks) -> NDArray[np.int64]:
    if contract.time_format != "iso":
        try:
            return _from_integers(array.cast(pa.int64()), contract, checks)
        except pa.ArrowInvalid:
            pass
    for zone in (None, "UTC"):
        try:
            parsed = array.cast(pa.timestamp("us", tz=zone))
        except pa.ArrowInvalid:
            continue
        return _to_ms(parsed.cast(pa.int64()).fill_null(0).to_numpy(), "us")
    parsed = _parse(contract.time, array, pa.int64(), parse_time, Reason.BAD_TIME, checks)
    times: NDArray[np.int64] = parsed.fill_null(0).to_numpy()
    return times


def _from_integers(array: Any, contract: EventContract, checks: RowChecks) -> NDArray[np.int64]:
    raw = array.fill_null(0).to_numpy()
    low, high = contract.time_bounds
    wrong = (raw < low) | (raw > high)
    checks.reject(wrong, Reason.BAD_TIME, contract.time)
    return contract.times_ms(np.where(wrong, 0, raw))  # type: ignore[arg-type]


def _to_ms(raw: NDArray[np.int64], unit: str) -> NDArray[np.int64]:
    """Milliseconds; finer ones are cut off towards the past, as the contract does."""
    if unit == "s":
        return np.clip(raw, EARLIEST_MS // 1000 - 1, LATEST_MS // 1000 + 1) * 1000
    return raw // {"ms": 1, "us": 1_000, "ns": 1_000_000}[unit]


def _parse(
    name: str,
    array: Any,
    kind: Any,
    parse_one: Callable[[str], Any],
    reason: Reason,
    checks: RowChecks,
) -> Any:
    """Text as values of another type: all at once, or one by one if a row can't be read."""
    try:
        return array.cast(kind)
    except pa.ArrowInvalid:
        pass
    wrong, too_large = np.zeros((2, len(array)), np.bool_)
    values: list[Any] = [None] * len(array)
    for row, text in enumerate(array.to_numpy(zero_copy_only=False)):
        if text is None:
            continue
        try:
            values[row] = parse_one(text)
        except OverflowError:
            too_large[row] = True
        except ValueError:
            wrong[row] = True
    checks.reject(wrong, reason, name)
    checks.reject(too_large, Reason.OUT_OF_BOUNDS, name)
    return pa.array(values, kind)


def _plain(column: Any, name: str) -> Any:
    """One array of a plain type; text as large_string, which has no limit of 2 GB."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.large_string())
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_large_string(array.type):
        try:
            array.validate(full=True)
        except pa.ArrowInvalid as error:
            raise ValueError(f"column {name!r} holds text that is no UTF-8: {error}") from error
    return array


def _reject_non_finite(name: str, values: NDArray[np.float64], checks: RowChecks) -> None:
    checks.reject(np.isnan(values), Reason.NOT_A_NUMBER, name)
    checks.reject(np.isinf(values), Reason.INFINITE, name)


def _is_null(array: Any) -> NDArray[np.bool_]:
    return _mask(array.is_null())


def _mask(array: Any) -> NDArray[np.bool_]:
    """A boolean array as numpy has it; null is false."""
    mask: NDArray[np.bool_] = array.fill_null(False).to_numpy(zero_copy_only=False)
    return mask


def _unfit(name: str, kind: Any, wanted: str) -> ValueError:
    return ValueError(
        f"column {name!r} is {kind}, and event.fields declares {wanted!r}, {_WANTED[wanted]}: "
        "change the declaration or the file"
    )
