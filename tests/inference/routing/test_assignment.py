"""Which arm a key falls to."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency, kstest

from inference.routing.assignment import Assignment

KEYS = list(range(40_000))


@pytest.mark.parametrize("shares", [[0.05], [0.01, 0.2], [0.05, 0.3, 0.25], [1.0], [0.0, 0.5]])
def test_keys_fall_on_arms_by_their_shares(shares: list[float]) -> None:
    arms = Assignment("an experiment", shares).arms(KEYS)
    counts = np.bincount(arms, minlength=len(shares) + 1)
    expected = np.array([1 - sum(shares), *shares]) * len(KEYS)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected + 1)).all()


def test_who_is_in_the_canary_stays_in_it_as_it_grows_and_nobody_else_moves() -> None:
    before = Assignment("e", [0.01, 0.2, 0.1]).arms(KEYS)
    after = Assignment("e", [0.25, 0.2, 0.1]).arms(KEYS)
    assert (after[before == 1] == 1).all()
    for other in (2, 3):
        assert ((before == other) == (after == other)).all()
    moved = before != after
    assert set(before[moved].tolist()) == {0}
    assert set(after[moved].tolist()) == {1}


def test_the_whole_is_shared_without_a_gap() -> None:
    arms = Assignment("e", [0.5, 0.25, 0.25]).arms(KEYS)
    assert set(arms.tolist()) == {1, 2, 3}


def test_a_number_is_as_its_text() -> None:
    one = Assignment("e", [0.3])
    assert (one.arms(KEYS) == one.arms([str(key) for key in KEYS])).all()


def test_experiments_mix_keys_anew() -> None:
    first, second = (Assignment(name, [0.5]).arms(KEYS) for name in ("a", "b"))
    table = [[int(((first == x) & (second == y)).sum()) for x in (0, 1)] for y in (0, 1)]
    assert chi2_contingency(table).pvalue > 1e-6


def test_points_are_spread_evenly_and_do_not_change_from_release_to_release() -> None:
    assignment = Assignment("v7-20261201T120000", [])
    assert kstest(assignment.points(KEYS), "uniform").pvalue > 1e-6
    assert assignment.points([1, "a", "grüße"]).tolist() == pytest.approx(GOLDEN, abs=0)


GOLDEN = [0.587437116697718, 0.2749633832969324, 0.6498588473683672]
