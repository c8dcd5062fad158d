from collections import Counter

import numpy as np
from counted_feature import counted
from hypothesis import given
from hypothesis import strategies as st

from monitoring.breakage.stuck import COUNTERS, Repeats, Stuck, stuck

RNG = np.random.default_rng(4)
AMOUNTS = RNG.lognormal(4.3, 1.2, 20_000)


def found(past: np.ndarray, now: np.ndarray, usual: float | None = None) -> Stuck | None:
    feature = counted(past, now)
    total = int(feature.now.sum())
    return stuck(feature.histogram, feature.reference, feature.repeated, total, usual)


@given(st.lists(st.integers(0, 60), max_size=300), st.integers(0, 300))
def test_counters_are_below_the_true_counts_by_a_bounded_error(
    values: list[int], split: int
) -> None:
    matrix = np.array(values, np.float32).reshape(-1, 1)
    whole, first, second = (Repeats.none(1) for _ in range(3))
    whole.add(matrix)
    first.add(matrix[:split])
    second.add(matrix[split:])
    for repeated in (whole.of(0), (first + second).of(0)):
        for value, true in Counter(values).items():
            held = repeated.counts.get(float(value), 0)
            assert true - len(values) / (COUNTERS + 1) <= held <= true


@given(st.lists(st.sampled_from([1.0, 2.0, float("nan")]), max_size=60))
def test_the_longest_run_goes_on_over_batches(values: list[float]) -> None:
    matrix = np.array(values, np.float32).reshape(-1, 1)
    repeats = Repeats.none(1)
    for batch in np.array_split(matrix, 4):
        repeats.add(batch)
    longest, run, last = 0, 0, None
    for value in values:
        run = 0 if value != value else run + 1 if value == last else 1
        last, longest = value, max(longest, run)
    assert repeats.of(0).run == longest


def test_a_constant_and_a_default_are_found() -> None:
    for value in (AMOUNTS[7], 0, -1, 999):
        whole = found(AMOUNTS, np.full(60, value))
        assert whole is not None
        assert whole.value == np.float32(value)
        amounts = AMOUNTS[:2_000].copy()
        amounts[RNG.random(2_000) < 0.4] = value
        part = found(AMOUNTS, amounts)
        assert part is not None
        assert part.value == np.float32(value)
        assert 0.3 < part.share < 0.45


def test_a_run_is_found_in_a_share_that_is_small() -> None:
    amounts = AMOUNTS[:10_000].copy()
    amounts[3_000:3_120] = 79.5
    run = found(AMOUNTS, amounts)
    assert run is not None
    assert (run.value, run.share) == (79.5, 120 / 10_000)


def test_values_that_are_common_need_a_past() -> None:
    """A flag of the night holds whole hours."""
    flag = (np.arange(20_000) // 500 % 3 == 0).astype(float)
    assert found(flag, np.zeros(1_000)) is None
    assert found(flag, np.zeros(1_000), usual=1.0) is None
    assert found(RNG.random(20_000) < 0.5, np.zeros(1_000), usual=0.6) is not None


def test_a_category_that_grows_and_many_zeros_are_not_stuck() -> None:
    codes = RNG.choice([1, 2, 3, 4], 20_000, p=[0.9, 0.05, 0.03, 0.02])
    assert found(codes, RNG.choice([1, 2], 2_000, p=[0.5, 0.5]), usual=0.95) is None
    zeros = np.where(RNG.random(20_000) < 0.3, 0, RNG.lognormal(2, 1, 20_000))
    assert found(zeros, np.where(RNG.random(2_000) < 0.5, 0, zeros[:2_000]), usual=0.6) is None
    assert found(AMOUNTS, np.array([])) is None
