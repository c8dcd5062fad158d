"""Durations are written as they are read; a worker has a name."""

import os
from socket import gethostname

import pytest
from pydantic import ValidationError

from streams.base.section import WorkerSection, format_duration, parse_duration


@pytest.mark.parametrize("text", ["0d", "14d", "36h", "90m", "61s", "1500ms"])
def test_a_duration_is_written_in_its_largest_whole_unit(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize(("text", "same"), [("1w", "7d"), ("24h", "1d"), ("1.5h", "90m")])
def test_what_can_be_said_shorter_is(text: str, same: str) -> None:
    assert format_duration(parse_duration(text)) == same


@pytest.mark.parametrize("text", ["36501d", "9" * 30 + "d", "9" * 400 + "ms"])
def test_what_no_clock_could_count_is_no_duration(text: str) -> None:
    assert parse_duration("36500d") == 36_500 * 86_400_000
    with pytest.raises(ValueError, match="longer than a hundred years"):
        parse_duration(text)


def test_a_worker_is_named_by_the_settings_or_else_by_where_it_runs() -> None:
    assert WorkerSection(worker=" pod-7 ").worker_name == "pod-7"
    assert WorkerSection().worker_name == f"{gethostname()}-{os.getpid()}"
    with pytest.raises(ValidationError, match="100 characters"):
        WorkerSection(worker="x" * 101)
