"""What is wrong with a record of JSON that the fast parser did not take."""

import json
from typing import Any

import msgspec

from streams.events.contract import EventContract
from streams.events.field_checks import (
    EXCERPT,
    Pairs,
    check_finite,
    check_size,
    describe,
    excerpt,
    findings,
)
from streams.events.rejection import Finding, Reason

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `msgspec` raises for bytes that are no JSON of the wanted kind."""

_HUGE = 10**400  # stands for longer integers: Python refuses to parse more than 4,300 digits


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
            f"at {excerpt(text[error.pos :])}",
        )
    except RecursionError:
        return Finding(Reason.TOO_DEEP, None, "the record nests arrays or objects too deeply")
    if not isinstance(pairs, Pairs):
        return Finding(
            Reason.NOT_AN_OBJECT, None, f"the record is no JSON object but {describe(pairs)}"
        )
    return next(findings(contract, pairs, now_ms), None) or _undeclared(contract, pairs)


def undecodable(error: Exception) -> Finding:
    """Return what the fast parser says of a record in which `classify` finds nothing wrong."""
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
    object_pairs_hook=Pairs, parse_int=_parse_int, parse_constant=_Constant
).decode


def _undeclared(contract: EventContract, pairs: Pairs) -> Finding | None:
    """What no JSON has, in a field that the contract does not declare."""
    for name, value in pairs:
        constant = None if name in contract.fields else _first_constant(value)
        if constant is not None and (finding := check_finite(name, constant)) is not None:
            shown = name[:EXCERPT].encode(errors="backslashreplace").decode()
            return finding._replace(field=shown)
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
