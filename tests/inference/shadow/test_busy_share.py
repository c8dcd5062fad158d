"""Candidates are asked about as many events as the worker's time allows."""

import pytest

from inference.shadow.busy_share import LEAST_KEPT, BusyShare


def kept(most: float, per_event_s: float, events: int = 500, batches: int = 40) -> list[float]:
    """The shares of batches that come each half second, for a candidate that takes so long."""
    now = 0.0
    busy = BusyShare(most, lambda: now)
    shares = []
    for _ in range(batches):
        now += 0.5
        shares.append(busy.keep())
        busy.spend(shares[-1] * events * per_event_s)
    return shares


def test_a_quick_candidate_is_asked_about_all() -> None:
    assert kept(0.1, 50e-6)[-20:] == [1.0] * 20


@pytest.mark.parametrize("per_event_s", [0.5e-3, 2e-3])
def test_a_slow_one_takes_its_part_of_the_time(per_event_s: float) -> None:
    shares = kept(0.1, per_event_s)
    busy = sum(share * 500 * per_event_s for share in shares[-20:]) / 10
    assert busy == pytest.approx(0.1, rel=0.1)


def test_the_slowest_is_asked_about_a_few() -> None:
    assert kept(0.1, 1.0)[-1] == LEAST_KEPT


def test_it_is_asked_about_all_once_it_is_quick_again() -> None:
    now = 0.0
    busy = BusyShare(0.1, lambda: now)
    busy.spend(60.0)
    shares = []
    for _ in range(10):
        now += 0.5
        shares.append(busy.keep())
        busy.spend(0.001)
    assert shares[0] == LEAST_KEPT
    assert shares[-1] == 1.0


def test_without_a_bound_nothing_is_shed() -> None:
    assert set(kept(1.0, 1.0)) == {1.0}
