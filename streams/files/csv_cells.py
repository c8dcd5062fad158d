"""One cell of a CSV at a time, where a column as a whole can't be read.

Each raises `ValueError` for text that is nothing of the kind, and `OverflowError` for an integer
beyond 64 bits.
"""

from datetime import UTC, datetime, timedelta

from streams.events.contract import INT64_MAX, INT64_MIN

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def parse_int(text: str) -> int:
    """A 64-bit integer, also written as 5.0, as a tool without missing integers does."""
    try:
        value = int(text.replace("_", "x"))
    except ValueError:
        number = parse_float(text)
        if not number.is_integer():
            raise
        value = int(number)
    if not INT64_MIN <= value <= INT64_MAX:
        raise OverflowError
    return value


def parse_float(text: str) -> float:
    """A number, also NaN or infinite."""
    if "_" in text:  # Python's own notation, and nobody else's
        raise ValueError(text)
    return float(text)


def parse_bool(text: str) -> bool:
    """True or false, 1 or 0."""
    try:
        return {"true": True, "false": False, "1": True, "0": False}[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


def parse_time(text: str) -> int:
    """UTC milliseconds of an ISO-8601 time; a naive one is UTC."""
    time = datetime.fromisoformat(text.strip())
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - _EPOCH) // _MILLISECOND
