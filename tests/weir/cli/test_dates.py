"""Days and times on the command line."""

import pytest
import typer

from weir.cli.dates import parse_time_ms, time_range_ms

MIDNIGHT = 1_532_476_800_000  # 2018-07-25T00:00Z


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("2018-07-25", MIDNIGHT),
        ("2018-07-25T00:00", MIDNIGHT),
        ("2018-07-25T12:00", MIDNIGHT + 43_200_000),
        ("2018-07-25 12:00:00.007", MIDNIGHT + 43_200_007),
        ("2018-07-25T02:00+02:00", MIDNIGHT),
        ("2018-07-25T00:00Z", MIDNIGHT),
        ("1969-12-31T23:59:59.999", -1),
        ("9999-12-31T23:59:59.999", 253_402_300_799_999),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(text, time_ms):
    assert parse_time_ms(text) == time_ms


@pytest.mark.parametrize("zone", ["Europe/Amsterdam", "America/New_York"])
def test_the_machines_time_zone_does_not_matter(zone, monkeypatch):
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert parse_time_ms("2018-07-25") == MIDNIGHT
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "yesterday", "2018-13-01", "25-07-2018", "2018-02-30", "1e9"])
def test_what_is_no_time_is_said_with_its_option(text):
    with pytest.raises(typer.BadParameter, match="2018-07-25T12:00") as refused:
        time_range_ms(None, text)
    assert "--to" in refused.value.format_message()


def test_what_is_not_given_is_open():
    assert time_range_ms(None, None) == (None, None)
    assert time_range_ms("2018-07-25", None) == (MIDNIGHT, None)


def test_a_span_holds_something():
    assert time_range_ms("2018-07-25", "2018-07-25T00:00:00.001") == (MIDNIGHT, MIDNIGHT + 1)
    for to in ("2018-07-25", "2018-07-24"):
        with pytest.raises(typer.BadParameter, match="is not before"):
            time_range_ms("2018-07-25", to)
