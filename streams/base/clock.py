"""The wall clock, and its times as people read them."""

from datetime import UTC, datetime
from time import time_ns
from typing import Literal


def now_ms() -> int:
    """The wall clock, UTC milliseconds."""
    return time_ns() // 1_000_000


def utc(time_ms: int, precision: Literal["ms", "s"] = "ms") -> str:
    """A time that sorts and that nobody mistakes: ``2018-07-25 12:00:00.123 UTC``."""
    try:
        second = datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"  # Kafka takes any timestamp, calendars do not
    return f"{second} UTC" if precision == "s" else f"{second}.{time_ms % 1_000:03d} UTC"
