import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate
from scipy.special import betaln
from ville import BernoulliCS, BernoulliTest

from inference.shadow.statistics.mcnemar import (
    PRIOR,
    log_e_better,
    log_e_different,
    win_rate_interval,
)

COUNTS = [(0, 0), (1, 0), (0, 1), (12, 7), (60, 40), (40, 60), (300, 5), (550, 450)]
"""Wins and losses."""


def log_integrand(theta: NDArray[np.float64], wins: int, losses: int) -> NDArray[np.float64]:
    """Truncated prior times likelihood ratio."""
    prior = np.log(2) + (PRIOR - 1) * np.log(theta * (1 - theta)) - betaln(PRIOR, PRIOR)
    return np.asarray(prior + wins * np.log(2 * theta) + losses * np.log(2 - 2 * theta))


@pytest.mark.parametrize(("wins", "losses"), COUNTS)
def test_evidence_is_the_integral_over_the_truncated_prior(wins: int, losses: int) -> None:
    def ratio(theta: float) -> float:
        return float(np.exp(log_integrand(np.float64(theta), wins, losses)))

    expected, _ = integrate.quad(ratio, 0.5, 1, epsabs=0, epsrel=1e-11, limit=500)
    assert log_e_better(wins, losses) == pytest.approx(np.log(expected), abs=1e-9)


def test_evidence_against_a_half_is_that_of_ville() -> None:
    outcomes = np.random.default_rng(1).random(400) < 0.57
    wins = np.cumsum(outcomes)
    ours = log_e_different(wins, np.arange(1, 401) - wins)
    theirs = BernoulliTest(0.5, prior=(PRIOR, PRIOR)).fit(outcomes).log_e_values_
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_the_interval_is_that_of_ville() -> None:
    outcomes = np.random.default_rng(2).random(300) < 0.6
    wins = np.cumsum(outcomes)
    low, high = win_rate_interval(wins, np.arange(1, 301) - wins, 0.05)
    theirs = BernoulliCS(0.05, prior=(PRIOR, PRIOR), intersect=False).fit(outcomes)
    np.testing.assert_allclose(low, theirs.lower_, atol=1e-12)
    np.testing.assert_allclose(high, theirs.upper_, atol=1e-12)


def test_before_the_first_event_nothing_is_known() -> None:
    assert log_e_better(0, 0) == 0
    assert log_e_different(0, 0) == 0
    low, high = win_rate_interval(0, 0, 0.05)
    assert (low, high) == pytest.approx((0, 1), abs=1e-12)


@pytest.mark.parametrize(("wins", "losses"), [(0, 3_000), (1_000, 90_000), (5, 10_000_000)])
def test_evidence_stays_finite_where_the_beta_function_underflows(wins: int, losses: int) -> None:
    # The integral in u = ln(theta - 1/2): all of it lies close to a half.
    u = np.linspace(-45, np.log(0.4999), 1_000_001)
    logs = log_integrand(0.5 + np.exp(u), wins, losses) + u
    expected = logs.max() + np.log(integrate.simpson(np.exp(logs - logs.max()), x=u))
    assert log_e_better(wins, losses) == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_evidence_of_a_truncated_prior_is_above_that_of_the_whole_where_wins_lead(
    wins: int, losses: int
) -> None:
    better, worse = log_e_better(wins, losses), log_e_better(losses, wins)
    assert (better >= worse) == (wins >= losses)
    # The whole prior is half of one side, and half of the other.
    both = np.logaddexp(better, worse) - np.log(2)
    assert both == pytest.approx(float(log_e_different(wins, losses)), abs=1e-6)


@given(st.integers(0, 2_000), st.integers(0, 2_000), st.floats(0.001, 0.5))
def test_the_interval_excludes_a_half_where_the_evidence_does(
    wins: int, losses: int, alpha: float
) -> None:
    low, high = win_rate_interval(wins, losses, alpha)
    surplus = float(log_e_different(wins, losses)) + np.log(alpha)
    if abs(surplus) > 1e-6:
        assert (low > 0.5 or high < 0.5) == (surplus > 0)


def test_false_verdicts_under_a_look_after_each_event_stay_below_alpha() -> None:
    """A test of fixed size with a look after each event would reach 40 % and more here."""
    generator = np.random.default_rng(3)
    wins = np.cumsum(generator.random((600, 2_000)) < 0.5, axis=1)
    evidence = log_e_better(wins, np.arange(1, 2_001) - wins)
    false = (evidence.max(axis=1) >= np.log(20)).mean()
    assert 0.02 < false <= 0.06


def test_sixty_to_forty_is_seen_after_some_hundred_and_fifty_events() -> None:
    generator = np.random.default_rng(4)
    wins = np.cumsum(generator.random((500, 1_500)) < 0.6, axis=1)
    evidence = log_e_better(wins, np.arange(1, 1_501) - wins)
    found = evidence >= np.log(20)
    assert found.any(axis=1).all()
    assert 130 <= np.median(found.argmax(axis=1) + 1) <= 175


def test_bad_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        log_e_better(-1, 3)
    with pytest.raises(ValueError, match="alpha = 1"):
        win_rate_interval(1, 1, 1.0)
