"""A record's fields as the contract wants them, or what is wrong with them, whatever the format."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from streams.events.contract import EventContract, Field
from streams.events.rejection import Finding, Reason
from streams.events.times import TimeFormat, from_ms, parse_iso, show_time, time_bounds, times_ms
from streams.events.values import (
    BadValueError,
    boolean,
    describe,
    excerpt,
    integer,
    is_written_number,
    number,
    shown,
    string,
)

_FRACTION = ": for fractions of a second send whole ms, and set event.time_format = 'ms'"
_READ: dict[str, Callable[[Any], Any]] = {
    "int": integer,
    "float": number,
    "bool": boolean,
    "string": string,
}
_UNITS: tuple[TimeFormat, ...] = ("s", "ms", "us")
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}


def read_fields(
    contract: EventContract, pairs: Iterable[tuple[str, Any]], now_ms: int
) -> dict[str, Any] | Finding:
    """Return the time and the fields of a record, or what is wrong with the first bad one.

    Looked at are its time, then the contract's fields in their order. The time is a count in the
    unit of ``event.time_format``, or for ``iso`` text; a missing value is ``None``.

    Args:
        pairs: names and values; every occurrence of a repeated name must be valid, and the last
            counts.
        now_ms: the clock, which the last time is compared with.
    """
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    fields: dict[str, Any] = {}
    for name in (contract.time, *contract.fields):
        field = contract.fields.get(name)
        if name not in found:
            if field is None or field.required:
                detail = f"{name!r} is missing, and it is required"
                return Finding(Reason.MISSING_FIELD, name, detail)
            fields[name] = None
        for value in found.get(name, ()):
            try:
                if field is None:
                    fields[name] = read_time(contract.time_format, value)
                else:
                    fields[name] = read_field(field, value)
            except BadValueError as error:
                return Finding(error.reason, name, f"{name!r} {error.said}")
        if field is None:
            time_ms = int(times_ms([fields[name]], contract.time_format)[0][0])
            finding = check_clock(contract, time_ms, now_ms)
            if finding is not None:
                return finding
    return fields


def read_field(field: Field, value: Any) -> Any:
    """Return a value as its field has it.

    Raises:
        BadValueError: it breaks the contract.
    """
    if value is None:
        if field.required:
            raise BadValueError(Reason.NULL_FIELD, "is null, and it is required")
        return None
    read = _READ[field.type](value)
    if field.max_length is not None and len(read) > field.max_length:
        raise BadValueError(
            Reason.TOO_LONG, f"has {len(read):,} characters; max_length = {field.max_length:,}"
        )
    if field.min is not None and read < field.min:
        raise BadValueError(
            Reason.OUT_OF_BOUNDS, f"= {shown(read)} is below min = {_bound(field.min)}"
        )
    if field.max is not None and read > field.max:
        raise BadValueError(
            Reason.OUT_OF_BOUNDS, f"= {shown(read)} is above max = {_bound(field.max)}"
        )
    return read


def read_time(time_format: TimeFormat, value: Any) -> int | str:
    """Return a time as a count in the unit of the format, or for ``iso`` as text.

    Text that is no number is ISO-8601 in every format.

    Raises:
        BadValueError: it is no time.
    """
    if value is None:
        raise BadValueError(Reason.NULL_FIELD, "is null")
    if isinstance(value, str) and (time_format == "iso" or not is_written_number(value)):
        try:
            time = parse_iso(value)
        except ValueError:
            raise BadValueError(
                Reason.BAD_TIME,
                "is no ISO-8601 time such as '2026-11-05T09:30:00Z' within the years 1 to 9999: "
                f"{excerpt(value)}",
            ) from None
        return value if time_format == "iso" else from_ms(time, time_format)
    if time_format == "iso":
        raise BadValueError(
            Reason.WRONG_TYPE,
            f"must be an ISO-8601 string, not {describe(value)}: for a count since 1970 "
            "set event.time_format = 's', 'ms' or 'us'",
        )
    try:
        count = integer(value, f"an integer ({time_format} since 1970)")
    except BadValueError as error:
        if error.reason == Reason.WRONG_TYPE and isinstance(value, float | Decimal | str):
            raise BadValueError(error.reason, error.said + _FRACTION) from None
        if error.reason != Reason.OUT_OF_BOUNDS:
            raise
        count = None
    low, high = time_bounds(time_format)
    if count is None or not low <= count <= high:
        raise BadValueError(
            Reason.BAD_TIME,
            f"= {shown(value)} {time_format} is not within the years 1 to 9999: "
            "look which unit it has, and set event.time_format",
        )
    return count


def check_clock(contract: EventContract, time_ms: int, now_ms: int) -> Finding | None:
    """Return what is wrong with a time before ``min_time``, or too far ahead of the clock."""
    if time_ms > now_ms + contract.max_future:
        ahead, allowed = (
            timedelta(milliseconds=x) for x in (time_ms - now_ms, contract.max_future)
        )
        detail = (
            f"{contract.time!r} is {ahead} ahead of the clock; event.max_future allows {allowed}"
        )
        return Finding(Reason.FROM_THE_FUTURE, contract.time, detail)
    if time_ms < contract.min_time:
        detail = (
            f"{contract.time!r} is {show_time(time_ms)}, before event.min_time = "
            f"{show_time(contract.min_time)!r}: {_likely(contract, time_ms, now_ms)}"
        )
        return Finding(Reason.BEFORE_MIN_TIME, contract.time, detail)
    return None


def _likely(contract: EventContract, time_ms: int, now_ms: int) -> str:
    """Why a time is before ``min_time``, if one can tell, and what to do."""
    written = contract.time_format
    for unit in _UNITS if written != "iso" else ():
        meant = time_ms * _PER_SECOND[written] // _PER_SECOND[unit]
        if contract.min_time <= meant <= now_ms + contract.max_future:
            return (
                f"it is likely in {unit}, and event.time_format = {written!r}: "
                f"set event.time_format = {unit!r}"
            )
    return "a count from another start than 1970 needs that start added; if right, lower min_time"


def check_size(contract: EventContract, value: bytes | None) -> Finding | None:
    """Return what is wrong with a record as it came, before anyone looks into it."""
    if value is None:
        return Finding(Reason.EMPTY, None, "the record has no value (a tombstone)")
    if len(value) > contract.max_bytes:
        return Finding(
            Reason.TOO_LARGE,
            None,
            f"the record has {len(value):,} bytes; event.max_bytes allows {contract.max_bytes:,}",
        )
    if not value:
        return Finding(Reason.EMPTY, None, "the record's value is empty")
    return None


def _bound(bound: int | float) -> str:
    return f"{bound:g}" if isinstance(bound, float) else f"{bound}"
