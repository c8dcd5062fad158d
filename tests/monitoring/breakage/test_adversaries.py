import numpy as np
import pytest

from monitoring.breakage.adversaries import Variations, sides

RNG = np.random.default_rng(6)
KEYS = RNG.integers(1, 2**63, 2_000, dtype=np.uint64)


def events(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Payments of some cards, each with an amount and how many it made today."""
    keys = RNG.choice(KEYS, n)
    return keys, np.stack([RNG.lognormal(4, 1, n), RNG.poisson(3, n)], axis=1).astype(np.float32)


def test_what_lies_beside_a_bound() -> None:
    values = np.array([89.9, 90, 99.99, 100, 109.9, 110, np.nan], np.float32)
    below, above = sides(values, 100, 10)
    assert np.flatnonzero(below).tolist() == [1, 2]
    assert np.flatnonzero(above).tolist() == [3, 4]


def test_one_cards_variations_are_found_and_repeats_are_none() -> None:
    usual = Variations(2)
    usual.add(*events(30_000))
    assert usual.found((usual.near, usual.pairs)) == {}
    past = (usual.near, usual.pairs)
    keys, values = events(5_000)
    tried = np.stack([100 + RNG.uniform(0, 5, 60), np.full(60, 2)], axis=1).astype(np.float32)
    same = np.tile(np.float32([19.9, 1]), (60, 1))
    place = np.sort(RNG.integers(0, 5_000, 120))
    card, tap = np.uint64(2**63 + 77), np.uint64(2**63 + 78)
    keys = np.insert(keys, place, np.tile([card, tap], 60).astype(np.uint64))
    values = np.insert(values, place, np.stack([tried, same], axis=1).reshape(-1, 2), axis=0)
    now = Variations(2)
    now.add(keys, values)
    assert now.found(past) == {int(card): (59, 59)}
    assert now.found(now.of_others) == {int(card): (59, 59)}


def test_two_keys_of_one_place_begin_anew() -> None:
    table = Variations(1, places=1)
    table.add(np.array([1, 2, 1, 1], np.uint64), np.float32([[5], [5], [5], [5.1]]))
    assert (table.near, table.pairs) == (1, 1)
    with pytest.raises(ValueError, match="power of two"):
        Variations(1, places=3)
