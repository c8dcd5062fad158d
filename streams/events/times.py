"""Event times: ISO-8601 text and counts since 1970, as UTC milliseconds.

`parse_iso` is the rule for text. `iso_ms` reads a whole column by the same rule: the usual forms at
once, the others one by one.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BeforeValidator

TimeFormat = Literal["s", "ms", "us", "iso"]

EARLIEST_MS = -62_135_596_800_000
"""The first millisecond of the year 1: with `LATEST_MS`, the times that calendars can show."""
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ISO = re.compile(
    r"(\d{4})(?:-(\d\d)-(\d\d)|(\d\d)(\d\d)(?=[Tt ]))"
    r"(?:[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d+))?)?|(\d\d)(?:(\d\d)(?:[.,](\d+))?)?)"
    r" ?(?:[Zz]|UTC|([+-])(\d\d)(?::?(\d\d))?)?)?",
    re.ASCII,
)
_PLAIN = r"^[12]\d{3}-\d\d-\d\d[T ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_ZONED = _PLAIN + r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$"
_NAIVE = _PLAIN + "$"


def parse_iso(text: str) -> int:
    """Return the UTC milliseconds of an ISO-8601 time; docs/events.md lists the forms.

    Without an offset it is UTC. What is finer than a millisecond is cut off, towards the past.

    Raises:
        ValueError: the text is no such time, or not within the years 1 to 9999.

    >>> parse_iso("20261105T093000,5+01")
    1793867400500
    """
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    year, month, day, month_, day_, hour, *clock = match.groups()
    minute, second, fraction, minute_, second_, fraction_, sign, hours, minutes = clock
    day_number = date(int(year), int(month or month_), int(day or day_)).toordinal() - _EPOCH_DAY
    h, m, s = int(hour or 0), int(minute or minute_ or 0), int(second or second_ or 0)
    milliseconds = int((fraction or fraction_ or "0")[:3].ljust(3, "0"))
    past_midnight = (h * 60 + m) * 60 + s
    at_24 = h == 24 and past_midnight == 86_400 and not (fraction or fraction_ or "").strip("0")
    if not (h < 24 or at_24) or m > 59 or s > 59:
        raise ValueError(text)
    ahead = 0
    if sign is not None:
        if int(hours) > 23 or int(minutes or 0) > 59:
            raise ValueError(text)
        ahead = (int(hours) * 60 + int(minutes or 0)) * (-60 if sign == "-" else 60)
    time = (day_number * 86_400 + past_midnight - ahead) * 1000 + milliseconds
    if not EARLIEST_MS <= time <= LATEST_MS:
        raise ValueError(text)
    return time


def iso_ms(texts: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read an Arrow array of large_string by the rule of `parse_iso`.

    Returns:
        UTC milliseconds, 0 where there are none, shape (n,); and which texts are no time, shape
        (n,). A null is neither.
    """
    times = np.zeros(len(texts), np.int64)
    left = texts.is_valid().to_numpy(zero_copy_only=False)
    for pattern, zone in ((_ZONED, "UTC"), (_NAIVE, None)):
        if not left.any():
            break
        plain = pc.match_substring_regex(texts, pattern).fill_null(False)
        chosen = texts.filter(plain)
        try:
            microseconds = chosen.cast(pa.timestamp("us", zone)).cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid:  # such as February 30: those one by one
            continue
        mask = plain.to_numpy(zero_copy_only=False)
        times[mask] = microseconds // 1000
        left &= ~mask
    wrong = np.zeros(len(texts), np.bool_)
    wrong |= (times < EARLIEST_MS) | (times > LATEST_MS)
    for row in np.flatnonzero(left).tolist():
        try:
            times[row] = parse_iso(texts[row].as_py())
        except ValueError:
            wrong[row] = True
    times[wrong] = 0
    return times, wrong


def times_ms(
    times: Sequence[Any], time_format: TimeFormat
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return UTC milliseconds of times as records gave them, and which are none; shape (n,) each.

    Args:
        times: for ``iso`` text, else integers within `time_bounds`. What is finer than a
            millisecond is cut off, towards the past.
    """
    if time_format == "iso":
        return iso_ms(pa.array(times, pa.large_string()))
    raw = np.array(times, np.int64)
    return to_ms(raw, time_format), np.zeros(len(raw), np.bool_)


def to_ms(raw: NDArray[np.int64], unit: str) -> NDArray[np.int64]:
    """Counts of a unit, within the years 1 to 9999, as milliseconds, cut towards the past."""
    match unit:
        case "s":
            return raw * 1000
        case "us":
            return raw // 1000
        case "ns":
            return raw // 1_000_000
        case _:
            return raw


def from_ms(time: int, time_format: TimeFormat) -> int:
    """Milliseconds as a count of the format's unit; what is finer is cut off."""
    return {"s": time // 1000, "us": time * 1000}.get(time_format, time)


def time_bounds(time_format: TimeFormat) -> tuple[int, int]:
    """The least and the greatest time in the unit of a format (ms for ``iso``).

    They keep every time between the years 1 and 9999, so that no sum or difference of times
    and window lengths can overflow int64 milliseconds.
    """
    match time_format:
        case "s":
            return EARLIEST_MS // 1000, LATEST_MS // 1000
        case "us":
            return EARLIEST_MS * 1000, LATEST_MS * 1000 + 999
        case _:
            return EARLIEST_MS, LATEST_MS


def show_time(time: int) -> str:
    """UTC milliseconds as ISO-8601 text, without what is zero.

    >>> show_time(946_684_800_000)
    '2000-01-01'
    """
    text = str(np.datetime64(time, "ms"))
    return text.removesuffix("T00:00:00.000") if text.endswith("T00:00:00.000") else f"{text}Z"


def _validate_moment(value: Any) -> int:
    if isinstance(value, datetime | date):  # TOML has both
        value = value.isoformat()
    if not isinstance(value, str):
        raise ValueError("write a date or a time in quotes, such as '2000-01-01'")
    try:
        return parse_iso(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is no date or time: write it like '2000-01-01' or '2000-01-01T00:00:00Z'"
        ) from None


Moment = Annotated[int, BeforeValidator(_validate_moment)]
"""A settings field written as ``"2000-01-01"`` and read as ``int`` UTC milliseconds."""
