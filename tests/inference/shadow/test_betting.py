import json
from dataclasses import asdict
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.shadow.statistics.betting import (
    BETS,
    Capital,
    harm,
    log_factors,
    non_inferiority,
    superiority,
)

WORST = 500.0
DIFFERENCES = st.lists(st.floats(-WORST, 1e5), min_size=1, max_size=60).map(np.array)


def exact_log_e(differences: NDArray[np.float64], worst: float, margin: float = 0.0) -> float:
    """The definition, in floats."""
    bets = np.geomspace(0.02, 0.9, BETS) / (worst - margin)
    return float(np.log(np.prod(1 + bets * (differences[:, None] + margin), axis=0).mean()))


@given(DIFFERENCES)
def test_evidence_is_the_mean_of_products(differences: NDArray[np.float64]) -> None:
    assert superiority(differences, WORST).log_e == pytest.approx(
        exact_log_e(differences, WORST), abs=1e-9
    )
    assert harm(-differences, WORST) == superiority(differences, WORST)


@given(DIFFERENCES, st.floats(0.001, 50))
def test_equal_events_count_for_non_inferiority(
    differences: NDArray[np.float64], margin: float
) -> None:
    every = np.append(differences, np.zeros(30))
    found = non_inferiority(differences, WORST, margin, equal=30)
    assert found == non_inferiority(every, WORST, margin)
    assert found.log_e == pytest.approx(exact_log_e(every, WORST, margin), abs=1e-9)


@given(DIFFERENCES, st.randoms(use_true_random=False), st.integers(1, 7))
def test_order_and_parts_change_no_bit(
    differences: NDArray[np.float64], random: Random, parts: int
) -> None:
    whole = superiority(differences, WORST)
    shuffled = differences.tolist()
    random.shuffle(shuffled)
    total = Capital()
    for part in range(parts):
        # Strided, so that each part lies differently in memory.
        total = superiority(np.array(shuffled)[part::parts], WORST) + total
    assert total == whole
    assert total.log_e == whole.log_e


def test_parts_of_many_events_change_no_bit() -> None:
    generator = np.random.default_rng(1)
    differences = np.minimum(generator.lognormal(4.3, 1.2, 20_011), WORST) * generator.choice(
        [-1, 1], 20_011
    )
    whole = superiority(differences, WORST)
    assert (
        sum((superiority(each, WORST) for each in np.array_split(differences[::-1], 13)), Capital())
        == whole
    )
    # Each term is rounded down by a step at most.
    log_bets = np.log1p(np.geomspace(0.02, 0.9, BETS) / WORST * differences[:, None]).sum(axis=0)
    lost = log_bets - whole.log_bets
    assert (lost > 0).all()
    assert (lost < len(differences) * 2.0**-40 + 1e-9).all()


def test_gains_of_any_size_and_many_of_them_do_not_overflow() -> None:
    huge = np.full(30_000, 1e300)
    assert superiority(huge, 1e-3).log_e > 30_000 * 600


def test_the_same_model_on_both_sides_gives_an_e_of_exactly_one() -> None:
    assert Capital().log_e == 0.0
    assert superiority(np.zeros(1_000), WORST) == Capital()
    assert harm(np.zeros(1_000), WORST).log_e == 0.0


def test_the_state_survives_json() -> None:
    capital = superiority(np.random.default_rng(2).normal(30, 80, 5_000).clip(-WORST), WORST)
    read = json.loads(json.dumps(asdict(capital)))
    assert Capital(tuple(read["steps"])) == capital


@settings(max_examples=30)
@given(
    st.lists(st.floats(-1, 5), min_size=2, max_size=4),
    st.lists(st.integers(1, 9), min_size=4, max_size=4),
    st.floats(0, 0.5),
)
def test_no_distribution_of_the_null_multiplies_capital_in_the_mean(
    points: list[float], chances: list[int], margin: float
) -> None:
    """Three outcomes, shifted so that their mean is the null's border, have factors of mean 1."""
    values = np.array(points)
    weights = np.array(chances[: len(values)]) / sum(chances[: len(values)])
    values = values - values @ weights - margin
    worst = max(float(-values.min()), margin) + 0.01
    assert (weights @ np.exp(log_factors(values, worst, margin)) <= 1 + 1e-12).all()


def test_what_breaks_the_guarantee_is_refused() -> None:
    with pytest.raises(ValueError, match=r"-500.1 is below the worst, -500.0"):
        superiority([-500.1], WORST)
    with pytest.raises(ValueError, match="finite"):
        superiority([np.nan], WORST)
    with pytest.raises(ValueError, match="margin 500"):
        non_inferiority([1.0], WORST, 500.0)
    with pytest.raises(ValueError, match="equal = -1"):
        non_inferiority([1.0], WORST, 5.0, equal=-1)


def test_false_verdicts_on_heavy_tails_stay_below_alpha() -> None:
    generator = np.random.default_rng(3)
    amounts = np.minimum(generator.lognormal(4.3, 1.2, (300, 2_000)), WORST)
    losses = np.where(generator.random((300, 2_000)) < 0.3, amounts, 5.0)
    differences = losses * generator.choice([-1.0, 1.0], (300, 2_000))
    factors = log_factors(differences.ravel(), WORST).reshape(300, 2_000, BETS)
    paths = np.logaddexp.reduce(np.cumsum(factors, axis=1), axis=2) - np.log(BETS)
    assert 0.0 < (paths.max(axis=1) >= np.log(20)).mean() <= 0.06
