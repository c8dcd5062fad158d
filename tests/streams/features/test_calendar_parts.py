"""Calendar features against the standard library's time zones."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.features import CalendarFeature
from streams.features.calendar import calendar_part

# Until 2037: beyond it Arrow no longer follows summer time.
MOMENTS = st.integers(-(10**12), 2_140_000_000_000)
ZONES = ["UTC", "Europe/Paris", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"]
EXPECTED = {
    "hour": lambda local: local.hour,
    "weekday": lambda local: local.weekday(),
    "weekend": lambda local: local.weekday() >= 5,
    "day_of_month": lambda local: local.day,
    "month": lambda local: local.month,
    "night": lambda local: local.hour <= 6,
}


def _feature(**parts: object) -> CalendarFeature:
    return CalendarFeature.model_validate({"name": "c", "kind": "calendar", **parts})


@settings(deadline=None)
@given(
    st.lists(MOMENTS, min_size=1, max_size=20),
    st.sampled_from(ZONES),
    st.sampled_from(sorted(EXPECTED)),
)
def test_every_part_in_every_zone(times: list[int], zone: str, part: str) -> None:
    actual = calendar_part(_feature(part=part, timezone=zone), np.array(times, np.int64))
    start = datetime(1970, 1, 1, tzinfo=UTC)
    local = [(start + timedelta(milliseconds=t)).astimezone(ZoneInfo(zone)) for t in times]
    assert actual.tolist() == [float(EXPECTED[part](moment)) for moment in local]
    assert actual.dtype == np.float64


def test_summer_time_moves_the_hour() -> None:
    noon = [int(datetime(2024, month, 15, 12, tzinfo=UTC).timestamp() * 1000) for month in (1, 7)]
    feature = _feature(part="hour", timezone="Europe/Paris")
    assert calendar_part(feature, np.array(noon)).tolist() == [13, 14]


@pytest.mark.parametrize(
    ("hours", "inside"), [((0, 6), range(7)), ((22, 5), [22, 23, 0, 1, 2, 3, 4, 5]), ((3, 3), [3])]
)
def test_a_night_includes_its_last_hour_and_may_pass_midnight(
    hours: tuple[int, int], inside: list[int]
) -> None:
    times = np.arange(24, dtype=np.int64) * 3_600_000
    night = calendar_part(_feature(part="night", hours=hours), times)
    assert np.flatnonzero(night).tolist() == sorted(inside)
