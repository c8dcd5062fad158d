"""Paces, against a clock that the test turns."""

import numpy as np
import pytest

from streams.replay.pace import BURST_S, Pace, Schedule


@pytest.mark.parametrize(
    ("text", "pace"),
    [
        ("max", Pace()),
        ("1000x", Pace(speed=1000)),
        ("0.5x", Pace(speed=0.5)),
        (" 5000/s ", Pace(rate=5000)),
    ],
)
def test_parse(text: str, pace: Pace) -> None:
    assert Pace.parse(text) == pace
    assert str(pace) == text.strip()


@pytest.mark.parametrize("text", ["", "5000", "x", "0x", "0/s", "-1x", "1e3x", "fast", "nan/s"])
def test_what_is_no_pace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write 'max', a multiple"):
        Pace.parse(text)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_all_are_due_at_once_without_a_pace() -> None:
    assert Schedule(Pace(), np.arange(7) * 10).due() == (7, 60)


def test_a_rate_is_steady() -> None:
    clock = Clock()
    schedule = Schedule(Pace(rate=1000), np.arange(10_000) * 7, clock)
    assert schedule.due() == (1, 0)
    counts = []
    for _ in range(100):
        clock.now += 0.01
        counts.append(schedule.due()[0])
    assert np.abs(np.diff(counts) - 10).max() <= 1
    assert counts[-1] == pytest.approx(1001, abs=1)
    assert schedule.due()[1] == (counts[-1] - 1) * 7


def test_a_speed_follows_event_time_through_gaps() -> None:
    clock = Clock()
    times = np.array([5_000, 5_000, 5_500, 9_000])
    schedule = Schedule(Pace(speed=10), times, clock)
    assert schedule.due() == (2, 5_000)
    clock.now += 0.045
    assert schedule.due() == (2, 5_450)
    clock.now += 0.01
    assert schedule.due() == (3, 5_550)
    for _ in range(10):
        clock.now += 0.03
        count, reached = schedule.due()
    assert (count, reached) == (3, 8_550)
    clock.now += 0.05
    assert schedule.due()[0] == 4


@pytest.mark.parametrize("pace", [Pace(rate=1000), Pace(speed=1)])
def test_what_was_missed_is_no_flood(pace: Pace) -> None:
    clock = Clock()
    schedule = Schedule(pace, np.arange(100_000), clock)
    clock.now += 60
    assert schedule.due()[0] <= 1000 * BURST_S + 1
    clock.now += 0.01
    assert schedule.due()[0] <= 1000 * (BURST_S + 0.01) + 1


def test_no_more_than_there_is() -> None:
    clock = Clock()
    schedule = Schedule(Pace(rate=1000), np.array([3, 4]), clock)
    clock.now += 1
    assert schedule.due() == (2, 4)
