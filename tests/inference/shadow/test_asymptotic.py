import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ville import AsymptoticCS, best_rho, normal_mixture

from inference.shadow.statistics.asymptotic import burnt_in, interval, lower_bound, radius
from inference.shadow.statistics.moments import STEP, Moments

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=50)


@given(VALUES, st.integers(1, 5), st.integers(0, 20))
def test_moments_of_parts_are_those_of_the_whole(
    values: list[float], parts: int, zeros: int
) -> None:
    total = sum((Moments.of(values[::-1][part::parts]) for part in range(parts)), Moments())
    whole = Moments.of(values, zeros)
    assert total + Moments(zeros) == whole == Moments.of([*values, *[0.0] * zeros])
    if whole.count:
        every = np.append(values, np.zeros(zeros))
        assert whole.mean == pytest.approx(every.mean(), abs=1e-6)
        assert whole.variance == pytest.approx(every.var(), rel=1e-6, abs=1e-6)
    else:
        assert math.isnan(whole.mean)
        assert math.isnan(whole.variance)


def test_the_variance_of_values_far_from_zero_does_not_cancel() -> None:
    assert Moments.of([1e9, 1e9 + 1, 1e9 + 2]).variance == pytest.approx(2 / 3, rel=1e-12)


def test_values_go_to_the_nearest_step() -> None:
    assert Moments.of([0.75 * STEP, -0.75 * STEP, 2.25 * STEP]) == Moments(3, 2, 6)


def test_values_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Moments.of([1.0, math.nan])


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1])
def test_the_radius_is_villes_boundary_and_about_the_best_at_t_opt(alpha: float) -> None:
    t_opt = 2_000
    counts = np.array([50, 500, 2_000, 80_000])
    rho = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / t_opt
    ours = radius(counts, 3.0, alpha, t_opt)
    np.testing.assert_allclose(ours, 3 * normal_mixture(counts, alpha, 1 / rho) / counts)
    best = 3 * normal_mixture(t_opt, alpha, best_rho(t_opt, alpha)) / t_opt
    assert ours[2] == pytest.approx(best, rel=0.01)
    assert ours[2] >= best


def test_the_interval_is_that_of_ville() -> None:
    values = np.random.default_rng(1).gamma(0.5, 4.0, 1_000)
    low, high = interval(Moments.of(values), 0.05, 1_000)
    theirs = AsymptoticCS(0.05, t_opt=1_000).fit(values)
    assert (low, high) == pytest.approx(theirs.interval(), rel=0.002)


def test_one_sided_is_the_end_of_an_interval_of_twice_alpha() -> None:
    moments = Moments.of(np.random.default_rng(2).normal(1, 1, 500))
    assert lower_bound(moments, 0.05, 500) == interval(moments, 0.1, 500)[0]
    assert lower_bound(moments, 0.05, 500) > interval(moments, 0.05, 500)[0]


def test_without_values_nothing_is_known() -> None:
    assert interval(Moments(), 0.05, 100) == (-math.inf, math.inf)
    assert radius(0, 1.0, 0.05, 100) == math.inf
    with pytest.raises(ValueError, match="alpha"):
        radius(1, 1.0, 1.2, 100)


def test_burn_in_needs_discordant_events_and_frauds() -> None:
    assert burnt_in(200, 50)
    assert not burnt_in(199, 50)
    assert not burnt_in(200, 49)


def test_without_burn_in_heavy_tails_give_false_verdicts_and_with_it_few() -> None:
    """What the rule is for; the bounds leave the spread of 400 runs."""
    generator = np.random.default_rng(3)
    shape = (400, 3_000)
    frauds = generator.random(shape) < 0.3
    losses = np.where(frauds, np.minimum(generator.lognormal(4.3, 1.2, shape), 2_000.0), 5.0)
    differences = losses * generator.choice([-1.0, 1.0], shape)
    counts = np.arange(1, shape[1] + 1)
    mean = np.cumsum(differences, axis=1) / counts
    deviation = np.sqrt(np.cumsum(differences**2, axis=1) / counts - mean**2)
    apart = (mean > radius(counts, deviation, 0.1, 2_000)) & (counts > 1)
    ready = (counts >= 200) & (np.cumsum(frauds, axis=1) >= 50)
    assert apart.any(axis=1).mean() > 0.08
    assert (apart & ready).any(axis=1).mean() <= 0.06
