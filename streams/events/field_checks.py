"""What is wrong with the fields of a record, whatever the format it came in."""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from streams.events.contract import INT64_MAX, INT64_MIN, EventContract, Field
from streams.events.rejection import Finding, Reason

EXCERPT = 32
"""Characters of a record's content that a detail may show."""


def check_fields(contract: EventContract, fields: Mapping[str, Any], now_ms: int) -> Finding | None:
    """Return what is wrong with a record that was parsed, whatever the format it came in."""
    return next(findings(contract, fields.items(), now_ms), None)


def findings(
    contract: EventContract, pairs: Iterable[tuple[str, Any]], now_ms: int
) -> Iterator[Finding]:
    """All that is wrong with a record's fields: its time, then the contract's in their order.

    Args:
        pairs: names and values; every occurrence of a repeated name counts.
    """
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    for name in (contract.time, *contract.fields):
        field = contract.fields.get(name)
        if name not in found and (field is None or field.required):
            yield Finding(Reason.MISSING_FIELD, name, f"{name!r} is missing, and it is required")
        for value in found.get(name, ()):
            if field is None:
                finding = _check_time(contract, value, now_ms)
            else:
                finding = _check_field(name, field, value)
            if finding is not None:
                yield finding


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


def from_the_future(contract: EventContract, time_ms: int, now_ms: int) -> Finding:
    """Return the finding for a time further ahead of the clock than the contract allows."""
    ahead, allowed = (timedelta(milliseconds=x) for x in (time_ms - now_ms, contract.max_future))
    detail = f"{contract.time!r} is {ahead} ahead of the clock; event.max_future allows {allowed}"
    return Finding(Reason.FROM_THE_FUTURE, contract.time, detail)


class Pairs(list[tuple[str, Any]]):
    """A JSON object with every occurrence of a repeated key: each must be valid."""


def _check_time(contract: EventContract, value: Any, now_ms: int) -> Finding | None:
    name = contract.time
    if value is None:
        return Finding(Reason.NULL_FIELD, name, f"{name!r} is null")
    if contract.time_format == "iso":
        if not isinstance(value, str):
            return _wrong_type(name, "an ISO-8601 string", value)
        try:
            value = msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            return Finding(
                Reason.BAD_TIME,
                name,
                f"{name!r} is no ISO-8601 time such as '2026-11-05T09:30:00Z': {excerpt(value)}",
            )
    else:
        wanted = f"an integer ({contract.time_format} since 1970)"
        finding = _check_integer(name, wanted, value)
        if finding is not None:
            return finding
        low, high = contract.time_bounds
        if not low <= value <= high:
            return Finding(
                Reason.BAD_TIME,
                name,
                f"{name!r} = {_number(value)} {contract.time_format} "
                "is not within the years 1 to 9999",
            )
    time_ms = int(contract.times_ms([value])[0])
    if time_ms > now_ms + contract.max_future:
        return from_the_future(contract, time_ms, now_ms)
    return None


def _check_field(name: str, field: Field, value: Any) -> Finding | None:
    if value is None:
        if field.required:
            return Finding(Reason.NULL_FIELD, name, f"{name!r} is null, and it is required")
        return None
    match field.type:
        case "string":
            if not isinstance(value, str):
                return _wrong_type(name, "a string", value)
            if field.max_length is not None and len(value) > field.max_length:
                return Finding(
                    Reason.TOO_LONG,
                    name,
                    f"{name!r} has {len(value):,} characters; max_length = {field.max_length:,}",
                )
            return None
        case "bool":
            return None if isinstance(value, bool) else _wrong_type(name, "true or false", value)
        case "int":
            finding = _check_integer(name, "an integer", value)
            if finding is None and not INT64_MIN <= value <= INT64_MAX:
                detail = f"{name!r} = {_number(value)} does not fit in 64 bits"
                return Finding(Reason.OUT_OF_BOUNDS, name, detail)
            return finding or _check_bounds(name, field, value)
        case "float":
            if isinstance(value, bool) or not isinstance(value, int | float):
                return _wrong_type(name, "a number", value)
            try:
                value = float(value)
            except OverflowError:
                value = math.inf
            return check_finite(name, value) or _check_bounds(name, field, value)


def _check_integer(name: str, wanted: str, value: Any) -> Finding | None:
    if isinstance(value, float):
        return check_finite(name, value) or _wrong_type(name, wanted, value)
    if isinstance(value, bool) or not isinstance(value, int):
        return _wrong_type(name, wanted, value)
    return None


def check_finite(name: str, value: float) -> Finding | None:
    """Return what is wrong with a float: it is no number, or too large for one."""
    if math.isnan(value):
        return Finding(Reason.NOT_A_NUMBER, name, f"{name[:EXCERPT]!r} is NaN")
    if math.isinf(value):
        return Finding(Reason.INFINITE, name, f"{name[:EXCERPT]!r} is infinite or beyond float64")
    return None


def _check_bounds(name: str, field: Field, value: int | float) -> Finding | None:
    if field.min is not None and value < field.min:
        detail = f"{name!r} = {_number(value)} is below min = {field.min:g}"
    elif field.max is not None and value > field.max:
        detail = f"{name!r} = {_number(value)} is above max = {field.max:g}"
    else:
        return None
    return Finding(Reason.OUT_OF_BOUNDS, name, detail)


def _wrong_type(name: str, wanted: str, value: Any) -> Finding:
    return Finding(Reason.WRONG_TYPE, name, f"{name!r} must be {wanted}, not {describe(value)}")


def describe(value: Any) -> str:
    """Return how a human would call a value, with a short excerpt of a plain one."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the string {excerpt(value)}"
        case int() | float():
            return f"the number {_number(value)}"
        case bytes():
            return f"{len(value):,} bytes"
        case Pairs() | dict():
            return "an object"
        case _:
            return "an array"


def _number(value: int | float) -> str:
    text = repr(float(value)) if isinstance(value, float) else f"{value}"
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"


def excerpt(text: str) -> str:
    """The beginning of a text, quoted."""
    return repr(text) if len(text) <= EXCERPT else f"{text[:EXCERPT]!r}…"
