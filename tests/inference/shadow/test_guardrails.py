import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate
from scipy.special import betainc, betaln, gammaln

from inference.shadow.statistics.guardrails import (
    SLOW_SHARE,
    latency_bound,
    log_e_more,
    log_e_rate_above,
    log_e_split,
    log_rate_factors,
)


@pytest.mark.parametrize(
    ("events", "total", "limit"), [(0, 0, 0.01), (3, 40, 0.01), (0, 50, 0.3), (80, 200, 0.3)]
)
def test_evidence_is_the_integral_over_rates_above_the_limit(
    events: int, total: int, limit: float
) -> None:
    a, b = 50 * limit, 50 * (1 - limit)

    def ratio(rate: float) -> float:
        prior = (a - 1) * math.log(rate) + (b - 1) * math.log1p(-rate) - betaln(a, b)
        likely = events * math.log(rate / limit)
        return math.exp(prior + likely + (total - events) * math.log((1 - rate) / (1 - limit)))

    expected, _ = integrate.quad(ratio, limit, 1, epsabs=0, epsrel=1e-11, limit=500)
    expected /= 1 - betainc(a, b, limit)
    assert log_e_rate_above(events, total, limit) == pytest.approx(math.log(expected), abs=1e-8)


def test_a_rate_far_below_the_limit_leaves_finite_evidence() -> None:
    falling = log_e_rate_above(0, [0, 10, 1_000, 100_000, 10_000_000], 0.01)
    assert falling[0] == 0
    assert np.isfinite(falling).all()
    assert (np.diff(falling) < 0).all()


def test_false_alarms_at_the_limit_stay_below_alpha_and_twice_the_rate_is_found() -> None:
    generator = np.random.default_rng(1)
    found = {}
    for rate in (0.01, 0.02):
        events = np.cumsum(generator.binomial(100, rate, (600, 100)), axis=1)
        evidence = log_e_rate_above(events, np.arange(100, 10_001, 100), 0.01)
        found[rate] = (evidence >= math.log(20)).any(axis=1).mean()
    assert 0.005 < found[0.01] <= 0.06
    assert found[0.02] > 0.99


@given(st.floats(0.001, 0.9), st.integers(1, 300))
def test_factors_of_a_rate_at_the_limit_have_a_mean_of_one(limit: float, total: int) -> None:
    events = np.arange(total + 1)
    chance = (
        gammaln(total + 1)
        - gammaln(events + 1)
        - gammaln(total - events + 1)
        + events * np.log(limit)
        + (total - events) * np.log1p(-limit)
    )
    factors = log_rate_factors(events, np.full(total + 1, total), limit)
    np.testing.assert_allclose(np.exp(factors + chance[:, None]).sum(axis=0), 1, rtol=1e-9)


def test_factors_of_batches_add_up() -> None:
    parts = log_rate_factors([3, 0, 5], [100, 40, 60], 0.02)
    np.testing.assert_allclose(parts.sum(axis=0), log_rate_factors([8], [200], 0.02)[0])


def test_one_event_in_a_hundred_exceeds_the_p99_of_its_like() -> None:
    """At an order statistic, in expectation exactly: (n + 1 - place) / (n + 1)."""
    assert latency_bound(np.arange(1.0, 100.0)) == pytest.approx(1.05 * 99)
    assert latency_bound(np.arange(1.0, 1_000.0)) == pytest.approx(1.05 * 990)
    assert latency_bound(np.arange(98.0)) == math.inf
    assert latency_bound([]) == math.inf


def test_a_spike_that_slows_both_arms_is_no_alarm_and_a_slower_arm_is() -> None:
    """Spans of 20,000 champion's and 200 canary's events; the load varies tenfold between them."""
    generator = np.random.default_rng(2)
    alarms = {}
    for slower in (1.0, 1.6):
        raised = 0
        for _ in range(100):
            slow = total = 0
            evidence = -math.inf
            for load in generator.choice([1.0, 3.0, 10.0], 20):
                champion = load * generator.lognormal(1.0, 0.5, 20_000)
                canary = load * slower * generator.lognormal(1.0, 0.5, 200)
                slow += int((canary > latency_bound(champion)).sum())
                total += 200
                evidence = max(evidence, float(log_e_rate_above(slow, total, SLOW_SHARE)))
            raised += evidence >= math.log(20)
        alarms[slower] = raised / 100
    assert alarms[1.0] <= 0.06
    assert alarms[1.6] > 0.95


def test_a_canary_that_alerts_twice_as_often_is_found_and_an_equal_one_is_not() -> None:
    assert log_e_more(80, 760, 0.05, 1.25) > math.log(20)
    assert log_e_more(40, 760, 0.05, 1.25) < 0
    # The lower end of the band: too few alerts of the canary.
    assert log_e_more(760, 10, 0.95, 1.25) > math.log(20)
    # By hand: a share of .5 and a ratio of 3 make a limit of 3/4.
    assert log_e_more(10, 3, 0.5, 3.0) == log_e_rate_above(10, 13, 0.75)


def test_the_evidence_of_a_split_is_the_ratio_of_predictions() -> None:
    """Key by key: the Dirichlet's prediction over the share; in any order the same."""
    shares = np.array([0.05, 0.95])
    for arms in ([0, 1, 1, 0, 1], [1, 1, 1, 0, 0]):
        seen, expected = 100 * shares, 0.0
        for arm in arms:
            expected += math.log(seen[arm] / seen.sum() / shares[arm])
            seen = seen + np.eye(2)[arm]
        assert log_e_split(np.bincount(arms), shares) == pytest.approx(expected, abs=1e-10)


def test_a_right_split_is_kept_and_a_wrong_one_is_found() -> None:
    generator = np.random.default_rng(3)
    looks = np.cumsum(generator.multinomial(1_000, [0.05, 0.95], (500, 100)), axis=1)
    assert (log_e_split(looks, [0.05, 0.95]).max(axis=1) >= math.log(20)).mean() <= 0.06
    wrong = generator.multinomial(100_000, [0.055, 0.945])
    assert log_e_split(wrong, [0.05, 0.95]) > math.log(10_000)


def test_bad_counts_and_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="total at most"):
        log_e_rate_above(3, 2, 0.1)
    with pytest.raises(ValueError, match="limit = 1"):
        log_e_rate_above(1, 2, 1.0)
    with pytest.raises(ValueError, match="limit = 0"):
        log_rate_factors([1], [2], 0.0)
    with pytest.raises(ValueError, match="total at most"):
        log_rate_factors([3], [2], 0.1)
    with pytest.raises(ValueError, match="sum to 1"):
        log_e_split([1, 2], [0.5, 0.6])
