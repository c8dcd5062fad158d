"""Calendar features: parts of an event's time in a time zone."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streams.features.declarations import CalendarFeature


def calendar_part(feature: CalendarFeature, times: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the feature for UTC times in milliseconds, shape (n,); summer time is respected."""
    local = pa.array(times, type=pa.timestamp("ms", tz=feature.timezone))
    match feature.part:
        case "hour":
            part = pc.hour(local)
        case "weekday":
            part = pc.day_of_week(local)
        case "day_of_month":
            part = pc.day(local)
        case "month":
            part = pc.month(local)
        case "weekend":
            part = pc.greater_equal(pc.day_of_week(local), 5).cast(pa.int8())
        case "night":
            hour = pc.hour(local)
            first, last = feature.hours
            after, before = pc.greater_equal(hour, first), pc.less_equal(hour, last)
            inside = pc.and_(after, before) if first <= last else pc.or_(after, before)
            part = inside.cast(pa.int8())
    column: NDArray[np.float64] = part.to_numpy(zero_copy_only=False).astype(np.float64)
    return column
