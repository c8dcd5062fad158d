"""Calendar features: parts of an event's time in a time zone."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streams.features.declarations import CalendarFeature

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_THURSDAY = 3
"""The weekday of 1970-01-01, counted from Monday."""


def calendar_part(feature: CalendarFeature, times: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the feature for UTC times in milliseconds, shape (n,); summer time is respected."""
    local = _local_times(feature.timezone, times)
    part: NDArray[np.bool_] | NDArray[np.int64]
    match feature.part:
        case "hour":
            part = _hour(local)
        case "weekday":
            part = _weekday(local)
        case "weekend":
            part = _weekday(local) >= 5
        case "night":
            hour = _hour(local)
            first, last = feature.hours
            after, before = hour >= first, hour <= last
            part = after & before if first <= last else after | before
        case "day_of_month":
            date = local.view("datetime64[ms]").astype("datetime64[D]")
            part = (date - date.astype("datetime64[M]")).astype(np.int64) + 1
        case "month":
            part = local.view("datetime64[ms]").astype("datetime64[M]").astype(np.int64) % 12 + 1
    return part.astype(np.float64)


def hour_of_week(times: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Return 0 ... 167 for UTC times in milliseconds (n,): hours of the week from Monday's first,
    as clocks of the time zone show them.
    """
    local = _local_times(timezone, times)
    return _weekday(local) * 24 + _hour(local)


def _local_times(timezone: str, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """What clocks show, as if it were UTC."""
    if timezone == "UTC":
        return times
    zoned = pa.array(times, type=pa.timestamp("ms", tz=timezone))
    shown = pc.local_timestamp(zoned).cast(pa.int64())
    local: NDArray[np.int64] = shown.to_numpy(zero_copy_only=False)
    return local


def _hour(local: NDArray[np.int64]) -> NDArray[np.int64]:
    return local % _DAY_MS // _HOUR_MS


def _weekday(local: NDArray[np.int64]) -> NDArray[np.int64]:
    return (local // _DAY_MS + _THURSDAY) % 7
