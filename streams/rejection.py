"""Why one record is no event: the reasons, and how a record that failed to decode gets its own."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from streams.contract import INT64_MAX, INT64_MIN, EventContract, Field

_EXCERPT = 32  # characters of a record's content that a detail may show
_HUGE = 10**400  # stands for longer integers: Python refuses to parse more than 4,300 digits


class Reason(StrEnum):
    """Why a record was rejected. Values are stable: they stand in dead letters and metrics."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_DEEP = "too_deep"
    MISSING_FIELD = "missing_field"
    NULL_FIELD = "null_field"
    WRONG_TYPE = "wrong_type"
    NOT_A_NUMBER = "not_a_number"
    INFINITE = "infinite"
    OUT_OF_BOUNDS = "out_of_bounds"
    TOO_LONG = "too_long"
    BAD_TIME = "bad_time"
    FROM_THE_FUTURE = "from_the_future"
    BAD_FRAME = "bad_frame"
    UNKNOWN_SCHEMA = "unknown_schema"
    WRONG_SCHEMA = "wrong_schema"
    BAD_BODY = "bad_body"
    FAILED = "failed"
    """It is an event, and answering it failed twice; everything around it was answered."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that is no event.

    Attributes:
        position: its index in the batch.
        reason: the first thing found wrong: the record as a whole, then its time, then the fields
            in the contract's order.
        field: the field at fault, ``None`` where it is the record as a whole.
        detail: a sentence for a human, with at most a short excerpt of the record.
    """

    position: int
    reason: Reason
    field: str | None
    detail: str


class Finding(NamedTuple):
    """What is wrong with a record: a `Rejected` that does not know its position."""

    reason: Reason
    field: str | None
    detail: str


def classify(contract: EventContract, value: bytes | None, now_ms: int) -> Finding | None:
    """Return what is wrong with a record, or ``None`` if nothing is found.

    It reads the record again with Python's own JSON parser, which, unlike the fast one, can tell
    ``NaN`` from noise; so it is for records that already failed to decode.
    """
    if (finding := check_size(contract, value)) is not None:
        return finding
    assert value is not None
    if not value.strip():
        return Finding(Reason.EMPTY, None, "the record's value is empty")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        return Finding(
            Reason.NOT_UTF8,
            None,
            f"the record is no UTF-8: byte {error.start} is 0x{value[error.start]:02x}",
        )
    try:
        pairs = _parse(text)
    except json.JSONDecodeError as error:
        return Finding(
            Reason.NOT_JSON,
            None,
            f"the record is no JSON: {error.msg} at character {error.pos}, "
            f"at {_excerpt(text[error.pos :])}",
        )
    except RecursionError:
        return Finding(Reason.TOO_DEEP, None, "the record nests arrays or objects too deeply")
    if not isinstance(pairs, _Pairs):
        return Finding(
            Reason.NOT_AN_OBJECT, None, f"the record is no JSON object but {_describe(pairs)}"
        )
    return next(_findings(contract, pairs, now_ms), None)


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


def check_fields(contract: EventContract, fields: Mapping[str, Any], now_ms: int) -> Finding | None:
    """Return what is wrong with a record that was parsed, whatever the format it came in."""
    own = ((name, fields[name]) for name in (contract.time, *contract.fields) if name in fields)
    return next(_findings(contract, own, now_ms), None)


def undecodable(error: Exception) -> Finding:
    """Return what the fast parser says of a record in which `classify` finds nothing wrong."""
    if isinstance(error, msgspec.ValidationError):
        return Finding(Reason.WRONG_TYPE, None, f"the record breaks the contract: {error}")
    return Finding(Reason.NOT_JSON, None, f"the record is no JSON: {error}")


def from_the_future(contract: EventContract, time_ms: int, now_ms: int) -> Finding:
    """Return the finding for a time further ahead of the clock than the contract allows."""
    ahead, allowed = (timedelta(milliseconds=x) for x in (time_ms - now_ms, contract.max_future))
    detail = f"{contract.time!r} is {ahead} ahead of the clock; event.max_future allows {allowed}"
    return Finding(Reason.FROM_THE_FUTURE, contract.time, detail)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with every occurrence of a repeated key: each must be valid."""


class _Constant(float):
    """``NaN``, ``Infinity`` or ``-Infinity``, which JSON does not have."""


def _parse_int(digits: str) -> int:
    if len(digits) > 400:
        return -_HUGE if digits[0] == "-" else _HUGE
    return int(digits)


_parse = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=_parse_int, parse_constant=_Constant
).decode


def _findings(
    contract: EventContract, pairs: Iterable[tuple[str, Any]], now_ms: int
) -> Iterator[Finding]:
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    for name in (contract.time, *contract.fields):
        field = contract.fields.get(name)
        if name not in found and (field is None or field.required):
            yield Finding(Reason.MISSING_FIELD, name, f"{name!r} is missing, and it is required")
        for value in found.pop(name, ()):
            if field is None:
                finding = _check_time(contract, value, now_ms)
            else:
                finding = _check_field(name, field, value)
            if finding is not None:
                yield finding
    for name, values in found.items():  # the undeclared ones
        constant = _first_constant(values)
        if constant is not None:
            finding = _check_finite(name, constant)
            assert finding is not None
            shown = name[:_EXCERPT].encode(errors="backslashreplace").decode()
            yield finding._replace(field=shown)


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
                f"{name!r} is no ISO-8601 time such as '2026-11-05T09:30:00Z': {_excerpt(value)}",
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
            return _check_finite(name, value) or _check_bounds(name, field, value)


def _check_integer(name: str, wanted: str, value: Any) -> Finding | None:
    if isinstance(value, float):
        return _check_finite(name, value) or _wrong_type(name, wanted, value)
    if isinstance(value, bool) or not isinstance(value, int):
        return _wrong_type(name, wanted, value)
    return None


def _check_finite(name: str, value: float) -> Finding | None:
    if math.isnan(value):
        return Finding(Reason.NOT_A_NUMBER, name, f"{name[:_EXCERPT]!r} is NaN")
    if math.isinf(value):
        return Finding(Reason.INFINITE, name, f"{name[:_EXCERPT]!r} is infinite or beyond float64")
    return None


def _check_bounds(name: str, field: Field, value: int | float) -> Finding | None:
    if field.min is not None and value < field.min:
        detail = f"{name!r} = {_number(value)} is below min = {field.min:g}"
    elif field.max is not None and value > field.max:
        detail = f"{name!r} = {_number(value)} is above max = {field.max:g}"
    else:
        return None
    return Finding(Reason.OUT_OF_BOUNDS, name, detail)


def _first_constant(value: Any) -> _Constant | None:
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, _Constant):
            return value
        if isinstance(value, list | tuple):
            stack.extend(value)
    return None


def _wrong_type(name: str, wanted: str, value: Any) -> Finding:
    return Finding(Reason.WRONG_TYPE, name, f"{name!r} must be {wanted}, not {_describe(value)}")


def _describe(value: Any) -> str:
    """Return how a human would call a value, with a short excerpt of a plain one."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the string {_excerpt(value)}"
        case int() | float():
            return f"the number {_number(value)}"
        case bytes():
            return f"{len(value):,} bytes"
        case _Pairs() | dict():
            return "an object"
        case _:
            return "an array"


def _number(value: int | float) -> str:
    text = repr(float(value)) if isinstance(value, float) else f"{value}"
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"


def _excerpt(text: str) -> str:
    return repr(text) if len(text) <= _EXCERPT else f"{text[:_EXCERPT]!r}…"
