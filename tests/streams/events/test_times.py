"""Each form of time on the page, read alone and in a column."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from streams.events.times import (
    EARLIEST_MS,
    LATEST_MS,
    from_ms,
    iso_ms,
    parse_iso,
    show_time,
    time_bounds,
    times_ms,
)

DAY = 1_793_836_800_000  # 2026-11-05
TIME = DAY + 9 * 3_600_000 + 30 * 60_000
READ = {
    "2026-11-05T09:30:00Z": TIME,
    "2026-11-05 09:30:00": TIME,
    "2026-11-05t09:30:00z": TIME,
    " 2026-11-05T09:30:00Z\n": TIME,
    "20261105T093000Z": TIME,
    "2026-11-05T09:30": TIME,
    "20261105 0930+00": TIME,
    "2026-11-05 09:30:00 UTC": TIME,
    "2026-11-05 15:00:00 +0530": TIME,
    "2026-11-05T04:00:00-05:30": TIME,
    "2026-11-05T09:30:00.5Z": TIME + 500,
    "2026-11-05T09:30:00,5": TIME + 500,
    "2026-11-05T09:30:00.123999Z": TIME + 123,
    "2026-11-05T09:30:00.999999999999Z": TIME + 999,
    "2026-11-05": DAY,
    "2026-11-05T24:00:00": DAY + 86_400_000,
    "2026-12-31T24:00+01": 1_798_758_000_000,
    "1969-12-31T23:59:59.9999Z": -1,
    "0001-01-01": EARLIEST_MS,
    "9999-12-31T23:59:59.999999Z": LATEST_MS,
}
NO_TIME = [
    *("", "now", "20261105", "2026-11", "2026-11-05T09", "2026-W45-4", "2026-309", "5.11.2026"),
    *("2026-02-29", "2026-11-05T23:59:60Z", "2026-11-05T24:00:01", "2026-11-05T24:00:00.001"),
    *("2026-11-05T25:00", "2026-11-05T09:30:00+24:00", "2026-11-05T09:30:00 Europe/Paris"),
    *("2026-11-05T09:30.5", "0000-12-31", "0001-01-01T00:00+00:01", "9999-12-31T24:00:00"),
    "２０２６-11-05",
]


@pytest.mark.parametrize("text", READ)
def test_a_form_is_read(text: str) -> None:
    assert parse_iso(text) == READ[text]


@pytest.mark.parametrize("text", NO_TIME)
def test_a_form_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_iso(text)


def test_a_column_is_read_as_its_cells_are() -> None:
    column = [*READ, *NO_TIME, None]
    times, wrong = iso_ms(pa.array(column, pa.large_string()))
    assert times.tolist() == [*READ.values(), *([0] * (len(NO_TIME) + 1))]
    assert np.flatnonzero(wrong).tolist() == [len(READ) + i for i in range(len(NO_TIME))]


@pytest.mark.parametrize(
    ("time_format", "raw", "expected"),
    [
        ("s", [1_700_000_000, -1], [1_700_000_000_000, -1_000]),
        ("ms", [1_700_000_000_123], [1_700_000_000_123]),
        ("us", [1_700_000_000_123_999, -1], [1_700_000_000_123, -1]),
        ("iso", ["2023-11-14T22:13:20.123999"], [1_700_000_000_123]),
        ("iso", [], []),
        ("ms", [], []),
    ],
)
def test_times_become_utc_milliseconds(time_format, raw, expected) -> None:
    times, wrong = times_ms(raw, time_format)
    assert (times.tolist(), wrong.any()) == (expected, False)
    assert times.dtype == np.int64


@pytest.mark.parametrize("time_format", ["s", "ms", "us"])
def test_time_bounds_are_the_years_1_to_9999(time_format) -> None:
    least, greatest = times_ms(time_bounds(time_format), time_format)[0].tolist()
    assert least == EARLIEST_MS == datetime(1, 1, 1, tzinfo=UTC).timestamp() * 1000
    assert LATEST_MS - 999 <= greatest <= LATEST_MS
    assert from_ms(least, time_format) == time_bounds(time_format)[0]


def test_a_time_is_shown_as_short_as_it_is() -> None:
    assert show_time(DAY) == "2026-11-05"
    assert show_time(TIME) == "2026-11-05T09:30:00.000Z"
