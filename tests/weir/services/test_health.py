"""A process is alive as long as its main loop turns, and ready when nothing keeps it from work."""

from threading import Thread
from time import sleep

from weir.services.http.health import STUCK_S, Health, WatchedStop


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_does_not_turn_is_not_alive_whoever_else_looks() -> None:
    clock = Clock()
    stop = WatchedStop(clock)
    health = Health(stop)
    clock.now += STUCK_S - 1
    assert health.not_alive() == []
    other = Thread(target=lambda: (stop.is_set(), stop.wait(0)))
    other.start()
    other.join()
    clock.now += 1
    (problem,) = health.not_alive()
    assert "has not turned for 300 s" in problem
    assert not stop.is_set()  # it turns again
    assert health.not_alive() == []
    clock.now += STUCK_S
    assert not stop.wait(0)
    assert health.not_alive() == []


def test_who_waits_to_be_told_to_stop_is_alive_however_long_it_takes() -> None:
    clock = Clock()
    stop = WatchedStop(clock)
    health = Health(stop)
    seen: list[list[str]] = []

    def look_and_stop() -> None:
        while not stop._waits:
            sleep(0.001)
        clock.now += 2 * STUCK_S
        seen.append(health.not_alive())
        stop.set()

    other = Thread(target=look_and_stop)
    other.start()
    assert stop.wait(60)
    other.join()
    assert seen == [[]]
    assert health.not_alive() == []


def test_it_is_ready_when_it_works_waits_for_nothing_and_is_not_told_to_stop() -> None:
    stop = WatchedStop()
    health = Health(stop)
    assert health.not_ready() == ["starting"]
    health.starting("fetching model 3")
    assert health.not_ready() == ["fetching model 3"]
    waits_for = ["restoring state"]
    health.working(lambda: waits_for)
    assert health.not_ready() == ["restoring state"]
    waits_for.clear()
    assert health.not_ready() == []
    stop.set()
    assert health.not_ready() == ["stopping"]
