"""Bets against "nothing has moved by more than so much"."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.statistics.bets import log_bound, log_e, place_bets, shares, slack_of


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.002, 0.02, 0.1]))
def test_no_shares_within_the_tolerance_gain_in_the_mean(seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(rng.integers(4, 24), 0.5)) + 1e-6
    share /= share.sum()
    bets = place_bets(share, 0.0)
    bound = log_bound(bets, share[None], slack_of([1e300], tolerance), np.ones(len(share)))[0]
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
    bets = place_bets(share, 0.0)
    mean = np.exp(bets.log_ratio) @ share
    bound = np.exp(log_bound(bets, share[None], slack_of([1e300], 0.0), np.ones(12))[0])
    np.testing.assert_allclose(bound, mean, rtol=1e-5)
    assert bets.weight.sum() == pytest.approx(1)
    assert (bets.weight > 0).all()


def test_evidence_of_parts_adds_up() -> None:
    rng = np.random.default_rng(3)
    share = shares(rng.integers(1, 100, 10))
    bets = place_bets(share, 0.0)
    cost = log_bound(bets, share[None], slack_of([5_000], 0.002), np.full(10, 3.0))[0]
    first, second = rng.integers(0, 50, (2, 10))
    parts = [log_e(bets.log_ratio / 3, each, each.sum() * cost) for each in (first, second)]
    whole = log_e(bets.log_ratio / 3, first + second, (first + second).sum() * cost)
    np.testing.assert_allclose(parts[0] + parts[1], whole)


@pytest.mark.parametrize("place", [0, 5, 9], ids=["below its range", "one value", "missing"])
def test_what_was_never_there_is_bet_on(place: int) -> None:
    """A reference of 5,000 rows, all in the bins, and then a share of 5 % elsewhere."""
    counts = np.array([0, *[700] * 4, 0, *[700] * 2, 0, 0])
    share = shares(counts)
    bets = place_bets(share, 0.0)
    now = 950 * counts / counts.sum()
    now[place] += 50
    cost = log_bound(bets, share[None], slack_of([counts.sum()], 0.002), np.ones(10))[0] * now.sum()
    assert log_e(bets.log_ratio, now, cost).max() > 20


def test_a_reference_of_few_rows_proves_little() -> None:
    rng = np.random.default_rng(4)
    share = shares(np.full(12, 100))
    bets = place_bets(share, 0.0)
    moved = np.bincount(rng.choice(12, 2_000, p=np.linspace(0.5, 1.5, 12) / 12), minlength=12)
    costs = [
        log_bound(bets, share[None], slack_of([rows], 0.0), np.ones(12))[0] * 2_000
        for rows in (100_000, 5_000, 200)
    ]
    found = [log_e(bets.log_ratio, moved, cost).max() for cost in costs]
    assert found[0] > found[1] > found[2]
    assert found[2] < 3


def test_events_in_clusters_prove_no_more_than_their_clusters() -> None:
    """Of independent events in nine bins, and bursts of ten in one, e-values have a mean of 1."""
    share = shares(np.append(np.full(9, 2_000), 100))
    clusters = np.append(np.ones(9), 10.0)
    bets = place_bets(share, 0.0)
    begun = 300 * share / clusters  # clusters in the mean, as in a Poisson process

    def log_mean(sizes: np.ndarray) -> np.ndarray:
        cost = log_bound(bets, share[None], slack_of([1e300], 0.0), sizes)[0]
        one = (bets.log_ratio / sizes - cost[:, None]) * clusters
        return begun @ (np.exp(one) - 1).T  # ln of it

    np.testing.assert_allclose(log_mean(clusters), 0, atol=0.01)
    assert log_mean(np.ones(10)).max() > 5
