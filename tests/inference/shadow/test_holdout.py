import numpy as np
import pytest

from inference.shadow.statistics.asymptotic import interval
from inference.shadow.statistics.holdout import canary_outcomes, difference_bounds, doubly_robust
from inference.shadow.statistics.moments import Moments


def test_outcomes_of_keys_by_hand() -> None:
    found = canary_outcomes([10.0, 10.0, 0.0, 6.0], [1, 0, 1, 0], [0.05, 0.05, 0.05, 0.25])
    assert found == pytest.approx([-200, 10 / 0.95, 0, 8])


def test_the_mean_over_steps_is_the_difference_of_the_arms() -> None:
    """Steps of 5 %, then 25 %, while losses rise: plain means of the arms would mislead."""
    generator = np.random.default_rng(1)
    size = 200_000
    shares = np.where(np.arange(size) < size // 2, 0.05, 0.25)
    canary = generator.random(size) < shares
    drift = np.where(np.arange(size) < size // 2, 1.0, 3.0)
    loss = drift * generator.exponential(np.where(canary, 4.0, 5.0))
    low, high = interval(Moments.of(canary_outcomes(loss, canary, shares)), 0.05, size)
    assert low < 2.0 < high  # (5 - 4) times a mean drift of 2
    assert low > 1.0
    plain = loss[~canary].mean() - loss[canary].mean()
    assert plain < 0


def censored(generator: np.random.Generator, size: int = 60_000):
    """Would-be declines let through by a risk that also drives the truth, and their columns."""
    risk = generator.random(size)
    fraud = generator.random(size) < risk
    declined = generator.random(size) < 0.7
    propensity = np.where(declined, 0.02 + 0.3 * (1 - risk), 1.0)
    labelled = generator.random(size) < propensity
    at_fraud, at_legitimate = np.full(size, -80.0), np.full(size, 12.0)
    actual = np.where(fraud, at_fraud, at_legitimate)
    hidden = np.where(labelled, actual, np.nan)
    return risk, actual, hidden, labelled, propensity, at_fraud, at_legitimate


def test_the_estimate_is_unbiased_even_with_a_wrong_prediction() -> None:
    risk, actual, hidden, labelled, propensity, at_fraud, at_legit = censored(
        np.random.default_rng(2)
    )
    assert abs(np.nanmean(hidden) - actual.mean()) > 3  # what is labelled is not like the rest
    spread = {}
    for name, chance in {"right": risk, "wrong": np.full(len(risk), 0.1)}.items():
        predicted = chance * at_fraud + (1 - chance) * at_legit
        found = doubly_robust(hidden, labelled, propensity, predicted)
        spread[name] = found.std() / np.sqrt(len(found))
        assert abs(found.mean() - actual.mean()) < 4 * spread[name]
    assert spread["right"] < spread["wrong"]


def test_bounds_hold_the_truth_and_meet_where_it_is_known() -> None:
    _, actual, hidden, labelled, _, at_fraud, at_legit = censored(np.random.default_rng(3), 2_000)
    low, high = difference_bounds(hidden, labelled, at_fraud, at_legit)
    assert ((low <= actual) & (actual <= high)).all()
    assert np.array_equal(low[labelled], actual[labelled])
    assert np.array_equal(high[labelled], actual[labelled])
    assert (low[~labelled] == -80).all()
    assert (high[~labelled] == 12).all()


def test_by_hand() -> None:
    found = doubly_robust([4.0, np.nan, 4.0], [1, 0, 1], [1.0, 0.1, 0.1], [1.0, 1.0, 1.0])
    assert found == pytest.approx([4, 1, 31])


def test_bad_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(0, 1\)"):
        canary_outcomes([1.0], [1], [1.0])
    with pytest.raises(ValueError, match="finite"):
        canary_outcomes([np.nan], [1], [0.5])
    with pytest.raises(ValueError, match="propensity 1"):
        doubly_robust([np.nan], [0], [1.0], [0.0])
    with pytest.raises(ValueError, match="finite"):
        doubly_robust([np.nan], [1], [0.5], [0.0])
