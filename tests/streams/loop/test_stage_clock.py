"""All time of a loop is in a stage."""

import pytest

from streams.loop.stage_clock import StageClock


class Clock:
    """A clock, and what it is told that the time was spent on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[tuple[str, float]] = []
        self.stages = StageClock(lambda *what: self.told.append(what), lambda: self.now)

    def spend(self, seconds: float, stage: str | None = None) -> None:
        self.now += seconds
        if stage is None:
            self.stages.skip()
        else:
            self.stages.lap(stage)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_batch_is_told_what_each_stage_took_since_the_one_before(clock: Clock) -> None:
    clock.spend(0.25, "wait")
    clock.spend(0.125, "merge")
    clock.spend(0.25, "wait")
    assert clock.told == []
    clock.stages.tell()
    assert clock.told == [("wait", 0.5), ("merge", 0.125)]
    clock.spend(0.5, "merge")
    clock.stages.tell()
    assert clock.told[2:] == [("merge", 0.5)]


def test_what_others_tell_of_is_in_no_stage(clock: Clock) -> None:
    clock.spend(0.25, "wait")
    clock.spend(0.5)
    clock.spend(0.125, "merge")
    clock.stages.tell()
    assert clock.told == [("wait", 0.25), ("merge", 0.125)]


def test_without_a_batch_it_is_told_every_second(clock: Clock) -> None:
    for _ in range(10):
        clock.spend(0.25, "wait")
    assert clock.told == [("wait", 1.0), ("wait", 1.0)]
    clock.spend(5.0, "restore")
    assert clock.told[2:] == [("wait", 0.5), ("restore", 5.0)]
