"""A second look at a record of JSON that the fast parser did not take.

It reads what is written otherwise than usual, such as a number as text, and says what is wrong with
the rest.
"""

import json
from typing import Any

import msgspec

from streams.events.contract import EventContract
from streams.events.field_checks import check_size, read_fields
from streams.events.rejection import Finding, Reason
from streams.events.values import (
    EXCERPT,
    BadValueError,
    Pairs,
    Written,
    check_finite,
    describe,
    excerpt,
)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `msgspec` raises for bytes that are no JSON of the wanted kind."""

_HUGE = 10**400  # stands for longer integers: Python refuses to parse more than 4,300 digits


def second_look(
    contract: EventContract, value: bytes | None, now_ms: int
) -> dict[str, Any] | Finding:
    """Return the fields of a record, as `read_fields` does, or what is wrong with it.

    It reads the record with Python's own JSON parser, which, unlike the fast one, can tell
    ``NaN`` from noise, and remembers how a number is written.
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
            f"at {excerpt(text[error.pos :])}",
        )
    except RecursionError:
        return Finding(Reason.TOO_DEEP, None, "the record nests arrays or objects too deeply")
    if not isinstance(pairs, Pairs):
        return Finding(
            Reason.NOT_AN_OBJECT, None, f"the record is no JSON object but {describe(pairs)}"
        )
    fields = read_fields(contract, pairs, now_ms)
    if isinstance(fields, Finding):
        return fields
    try:
        "".join(field for field in fields.values() if isinstance(field, str)).encode()
    except UnicodeEncodeError:
        return Finding(Reason.NOT_JSON, None, "the record is no JSON: it has a lone surrogate")
    return _undeclared(contract, pairs) or fields


def undecodable(error: Exception) -> Finding:
    """Return what the fast parser says of a record in which `second_look` finds nothing wrong."""
    if isinstance(error, msgspec.ValidationError):
        return Finding(Reason.WRONG_TYPE, None, f"the record breaks the contract: {error}")
    return Finding(Reason.NOT_JSON, None, f"the record is no JSON: {error}")


class _Constant(float):
    """``NaN``, ``Infinity`` or ``-Infinity``, which JSON does not have."""


def _parse_int(digits: str) -> int:
    if len(digits) > 400:
        return -_HUGE if digits[0] == "-" else _HUGE
    return int(digits)


_parse = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_int=_parse_int, parse_float=Written, parse_constant=_Constant
).decode


def _undeclared(contract: EventContract, pairs: Pairs) -> Finding | None:
    """What no JSON has, in a field that the contract does not declare."""
    for name, value in pairs:
        constant = None if name in contract.fields else _first_constant(value)
        if constant is None:
            continue
        try:
            check_finite(constant)
        except BadValueError as error:
            shown = name[:EXCERPT].encode(errors="backslashreplace").decode()
            return Finding(error.reason, shown, f"{name[:EXCERPT]!r} {error.said}")
    return None


def _first_constant(value: Any) -> _Constant | None:
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, _Constant):
            return value
        if isinstance(value, list | tuple):
            stack.extend(value)
    return None
