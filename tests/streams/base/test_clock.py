"""Times are written so that they sort, and any that Kafka takes can be written."""

import pytest

from streams.base.clock import utc


def test_a_time_says_its_zone() -> None:
    assert utc(1_532_520_000_007) == "2018-07-25 12:00:00.007 UTC"
    assert utc(1_532_520_000_007, "s") == "2018-07-25 12:00:00 UTC"


@pytest.mark.parametrize("time_ms", [2**62, -(2**62)])
def test_a_time_beyond_the_calendar_is_a_number(time_ms: int) -> None:
    assert utc(time_ms) == utc(time_ms, "s") == f"{time_ms} ms"
