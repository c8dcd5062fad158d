"""A domain classifier names what moved together, and only that."""

import numpy as np
import pytest
from numpy.typing import NDArray

from monitoring.statistics.domain_classifier import Domains, tell_apart

FEATURES = 30


def normal(rng: np.random.Generator, rows: int) -> NDArray[np.float32]:
    found = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    found[:, 3] = found[:, 2] + 0.3 * found[:, 3]  # two that are nearly the same
    found[rng.random(rows) < 0.2, 4] = np.nan
    return found


def apart(seed: int, moved: NDArray[np.float32]) -> Domains:
    rng = np.random.default_rng(seed)
    return tell_apart(normal(rng, 500), moved, rng)


@pytest.mark.parametrize("seed", range(5))
def test_where_nothing_moved_nothing_is_named(seed: int) -> None:
    found = apart(seed, normal(np.random.default_rng(100 + seed), 800))
    assert not found.parts.any()
    assert abs(found.auc - 0.5) < 5 * found.error
    assert found.share < 0.06


@pytest.mark.parametrize("seed", range(5))
def test_what_moved_in_some_events_is_named_with_their_share(seed: int) -> None:
    rng = np.random.default_rng(200 + seed)
    moved = normal(rng, 800)
    some = rng.random(800) < 0.3
    moved[some, 0] += 2
    moved[some, 7] -= 2
    moved[some, 4] = np.nan
    found = apart(seed, moved)
    assert set(np.flatnonzero(found.parts)) == {0, 4, 7}
    assert found.share == pytest.approx(0.3, abs=0.12)
    assert found.auc - 4 * found.error > 0.5


def test_features_that_say_the_same_are_all_named() -> None:
    moved = normal(np.random.default_rng(1), 800)
    moved[:, 2:4] += 2
    assert {2, 3} <= set(np.flatnonzero(apart(1, moved).parts))


def test_what_differs_only_together_is_named() -> None:
    """Each feature by itself is as before: no test of one alone can see that."""
    rng = np.random.default_rng(3)
    moved = normal(rng, 1_000)
    moved[:, 1] = moved[:, 0]
    assert {0, 1} == set(np.flatnonzero(apart(3, moved).parts))


def test_it_says_the_same_again() -> None:
    moved = normal(np.random.default_rng(5), 300) + np.float32(0.5)
    first, again = apart(5, moved), apart(5, moved)
    assert (first.auc, first.share) == (again.auc, again.share)
    assert (first.parts == again.parts).all()
