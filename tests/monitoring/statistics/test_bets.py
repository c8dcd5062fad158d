"""Bets against "nothing has moved by more than so much"."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.statistics.bets import log_bound, log_e, place_bets, shares


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.002, 0.02, 0.1]))
def test_no_shares_within_the_tolerance_gain_in_the_mean(seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(rng.integers(4, 24), 0.5)) + 1e-6
    share /= share.sum()
    bets = place_bets(share)
    bound = log_bound(bets, share[None], [1e300], tolerance)[0]
    towards = rng.dirichlet(np.full(len(share), 0.3)) - share
    distance = np.sum(towards**2 / share)
    other = share + towards * min(1.0, np.sqrt(tolerance / distance))
    assert np.sum((other - share) ** 2 / share) <= tolerance + 1e-9
    assert (np.exp(bets.log_ratio) @ other <= np.exp(bound) * (1 + 1e-9)).all()


@given(st.integers(0, 10_000))
def test_a_bet_names_likelihoods(seed: int) -> None:
    """With no tolerance at all, the ratios are those of shares that sum to 1."""
    rng = np.random.default_rng(seed)
    share = shares(rng.integers(0, 1_000, 12))
    bets = place_bets(share)
    mean = np.exp(bets.log_ratio) @ share
    bound = np.exp(log_bound(bets, share[None], [1e300], 0.0)[0])
    np.testing.assert_allclose(bound, mean, rtol=1e-9)
    assert bets.weight.sum() == pytest.approx(1)
    assert (bets.weight > 0).all()


def test_evidence_of_parts_adds_up() -> None:
    rng = np.random.default_rng(3)
    share = shares(rng.integers(1, 100, 10))
    bets = place_bets(share)
    cost = log_bound(bets, share[None], [5_000], 0.002)[0]
    first, second = rng.integers(0, 50, (2, 10))
    parts = [log_e(bets.log_ratio, each, each.sum() * cost, 3.0) for each in (first, second)]
    whole = log_e(bets.log_ratio, first + second, (first + second).sum() * cost, 3.0)
    np.testing.assert_allclose(parts[0] + parts[1], whole)


@pytest.mark.parametrize("place", [0, 5, 9], ids=["below its range", "one value", "missing"])
def test_what_was_never_there_is_bet_on(place: int) -> None:
    """A reference of 5,000 rows, all in the bins, and then a share of 5 % elsewhere."""
    counts = np.array([0, *[700] * 4, 0, *[700] * 2, 0, 0])
    share = shares(counts)
    bets = place_bets(share)
    now = 950 * counts / counts.sum()
    now[place] += 50
    cost = log_bound(bets, share[None], [counts.sum()], 0.002)[0] * now.sum()
    assert log_e(bets.log_ratio, now, cost, 1.0).max() > 20


def test_a_reference_of_few_rows_proves_little() -> None:
    rng = np.random.default_rng(4)
    share = shares(np.full(12, 100))
    bets = place_bets(share)
    moved = np.bincount(rng.choice(12, 2_000, p=np.linspace(0.5, 1.5, 12) / 12), minlength=12)
    found = [
        log_e(
            bets.log_ratio, moved, log_bound(bets, share[None], [rows], 0.0)[0] * 2_000, 1.0
        ).max()
        for rows in (100_000, 5_000, 200)
    ]
    assert found[0] > found[1] > found[2]
    assert found[2] < 3
