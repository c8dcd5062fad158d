"""What docs/events.md calls an event, in plain Python; it shares no code with Weir.

The contract is that of the example settings: `transaction_id`, `customer_id`, `terminal_id`: int;
`merchant_category`: string of at most 40; `amount`: float, 0 to 1,000,000; `time`: ms.
"""

import json
from typing import Any

MAX_BYTES = 1_000_000
MAX_FUTURE_MS = 300_000
MAX_CATEGORY = 40
MAX_AMOUNT = 1e6
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # the years 1 and 9999
_TIMES = range(FIRST_MS, LAST_MS + 1)
INT64 = range(-(2**63), 2**63)
INTEGERS = ("transaction_id", "customer_id", "terminal_id")
_LONG = 400  # digits; Python itself refuses more than some thousand


class _InvalidError(Exception):
    pass


def _constant(name: str) -> Any:
    raise _InvalidError(name)


def _int(digits: str) -> int:
    return int(digits[: _LONG + 1])


def _parse(value: bytes | None) -> list[tuple[str, Any]]:
    """Names and values of the record, each occurrence of a repeated name."""
    if value is None or len(value) > MAX_BYTES:
        raise _InvalidError
    # UTF-8 is not checked in what nobody declared: a bad byte stays as a surrogate, and counts
    # where it is looked at.
    text = value.decode("utf-8", "surrogateescape")
    try:
        found = json.loads(
            text, object_pairs_hook=_Object, parse_constant=_constant, parse_int=_int
        )
    except (ValueError, RecursionError) as error:
        raise _InvalidError from error
    if not isinstance(found, _Object):
        raise _InvalidError
    return found


class _Object(list):
    """A JSON object as pairs."""


def event_id(value: bytes | None, arrived_ms: int) -> int | None:
    """The id of an event; None if the record is none.

    Args:
        arrived_ms: the record's Kafka timestamp.
    """
    try:
        pairs = _parse(value)
        last: dict[str, Any] = {}
        for name, found in pairs:
            _check(name, found)
            last[name] = found
        _check_clock(last.get("time"), arrived_ms)
    except _InvalidError:
        return None
    wanted = (*INTEGERS, "merchant_category", "amount", "time")
    return last["transaction_id"] if all(name in last for name in wanted) else None


def label_is_valid(value: bytes | None, arrived_ms: int) -> bool:
    """Whether a record of the labels topic is a label."""
    try:
        pairs = _parse(value)
        for name, found in pairs:
            if name in ("event_id", "label"):
                _check_int(found, INT64 if name == "event_id" else range(2))
            elif name == "time":
                _check_int(found, _TIMES)
        _check_clock(dict(pairs).get("time"), arrived_ms)
    except _InvalidError:
        return False
    return {"event_id", "label", "time"} <= {name for name, _ in pairs}


def _check(name: str, found: Any) -> None:
    if name in INTEGERS:
        _check_int(found, INT64)
    elif name == "time":
        _check_int(found, _TIMES)
    elif name == "amount":
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise _InvalidError
        if not 0 <= found <= MAX_AMOUNT:
            raise _InvalidError
    elif name == "merchant_category":
        if not isinstance(found, str) or len(found) > MAX_CATEGORY:
            raise _InvalidError
        if any(0xD800 <= ord(character) <= 0xDFFF for character in found):
            raise _InvalidError


def _check_int(found: Any, allowed: range) -> None:
    if isinstance(found, bool) or not isinstance(found, int) or found not in allowed:
        raise _InvalidError


def _check_clock(time: Any, arrived_ms: int) -> None:
    """Of a repeated time the last one counts."""
    if time is not None and time > arrived_ms + MAX_FUTURE_MS:
        raise _InvalidError
