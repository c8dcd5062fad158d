"""What docs/events.md calls an event, in plain Python; it shares no code with Weir.

The contract is that of the example settings: `transaction_id`, `customer_id`, `terminal_id`: int;
`merchant_category`: string of at most 40; `amount`: float, 0 to 1,000,000; `time`: ms.
"""

import json
import re
from datetime import datetime
from typing import Any

MAX_BYTES = 1_000_000
MAX_FUTURE_MS = 300_000
MAX_CATEGORY = 40
MAX_AMOUNT = 1e6
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # the years 1 and 9999
MIN_MS = 946_684_800_000  # the year 2000
_TIMES = range(FIRST_MS, LAST_MS + 1)
INT64 = range(-(2**63), 2**63)
INTEGERS = ("transaction_id", "customer_id", "terminal_id")
_WHOLE = re.compile(r"\s*[+-]?[0-9]+(\.0*)?\s*", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
_LONG = 400  # digits; Python itself refuses more than some thousand


class _InvalidError(Exception):
    pass


def _constant(name: str) -> Any:
    raise _InvalidError(name)


class _Float(float):
    """A number with a fraction or an exponent, and how it was written."""

    def __new__(cls, text: str) -> Any:
        number = super().__new__(cls, text)
        number.text = text
        return number


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
            text,
            object_pairs_hook=_Object,
            parse_constant=_constant,
            parse_int=_int,
            parse_float=_Float,
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
            last[name] = _read(name, found)
        _check_clock(last.get("time"), arrived_ms)
    except _InvalidError:
        return None
    wanted = (*INTEGERS, "merchant_category", "amount", "time")
    return last["transaction_id"] if all(name in last for name in wanted) else None


def label_is_valid(value: bytes | None, arrived_ms: int) -> bool:
    """Whether a record of the labels topic is a label."""
    try:
        pairs = _parse(value)
        time = None
        for name, found in pairs:
            if name in ("event_id", "label"):
                _read_int(found, INT64 if name == "event_id" else range(2))
            elif name == "time":
                time = _read_time(found)
        _check_clock(time, arrived_ms)
    except _InvalidError:
        return False
    return {"event_id", "label", "time"} <= {name for name, _ in pairs}


def _read(name: str, found: Any) -> Any:
    if name in INTEGERS:
        return _read_int(found, INT64)
    if name == "time":
        return _read_time(found)
    if name == "amount":
        if isinstance(found, str) and _NUMBER.fullmatch(found):
            found = float(found)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise _InvalidError
        if not 0 <= found <= MAX_AMOUNT:
            raise _InvalidError
    elif name == "merchant_category":
        if not isinstance(found, str) or len(found) > MAX_CATEGORY:
            raise _InvalidError
        if any(0xD800 <= ord(character) <= 0xDFFF for character in found):
            raise _InvalidError
    return found


def _read_int(found: Any, allowed: range) -> int:
    """An integer, or one with all its digits as text or before a point; never with an exponent."""
    text = getattr(found, "text", found)
    if isinstance(text, str) and _WHOLE.fullmatch(text):
        found = int(text.partition(".")[0][:_LONG])
    if isinstance(found, bool) or type(found) is not int or found not in allowed:
        raise _InvalidError
    return found


def _read_time(found: Any) -> int:
    """Milliseconds; of ISO-8601 text the generator writes dates only."""
    if isinstance(found, str) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", found):
        return round(datetime.fromisoformat(f"{found}T00:00:00+00:00").timestamp() * 1000)
    return _read_int(found, _TIMES)


def _check_clock(time: Any, arrived_ms: int) -> None:
    """Of a repeated time the last one counts."""
    if time is not None and not MIN_MS <= time <= arrived_ms + MAX_FUTURE_MS:
        raise _InvalidError
