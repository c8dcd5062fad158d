import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monitoring.breakage.magnitudes import (
    ASCENDING,
    BUCKETS,
    CEILINGS,
    FLOORS,
    NAN,
    ZERO,
    bucket_of,
    count_magnitudes,
    dense,
    magnitudes,
    merged,
    size_quantiles,
    sparse,
)

FLOATS = st.floats(width=32)


@given(arrays(np.float32, st.tuples(st.integers(0, 40), st.integers(1, 4)), elements=FLOATS))
def test_each_value_is_counted_between_the_bounds_of_its_bucket(values: np.ndarray) -> None:
    counts = np.zeros((values.shape[1], BUCKETS), np.int64)
    count_magnitudes(values, counts)
    assert (counts.sum(axis=1) == len(values)).all()
    assert (counts[:, NAN] == np.isnan(values).sum(axis=0)).all()
    assert (counts[:, ZERO] >= (values == 0).sum(axis=0)).all()
    for value in values[np.isfinite(values)].tolist():
        place = int(np.flatnonzero(bucket_of(value) == ASCENDING)[0])
        assert FLOORS[place] <= value <= CEILINGS[place]


def test_a_bucket_is_an_eighth_of_an_octave_at_most() -> None:
    normal = (np.abs(FLOORS) > 1e-30) & (np.abs(CEILINGS) < 1e30)
    ratio = CEILINGS[normal] / FLOORS[normal]
    assert (np.maximum(ratio, 1 / ratio) <= 1.125).all()
    assert (np.diff(FLOORS[2:]) > 0).all()


def test_infinite_values_zeros_and_odd_missing_values() -> None:
    odd = np.array([0x7F800001, 0xFFC00000, 0x80000000], np.uint32).view(np.float32)
    counts = magnitudes(np.append(odd, np.float32([np.inf, -np.inf])))
    assert sparse(counts) == {ZERO: 1, NAN: 2, bucket_of(np.inf): 1, bucket_of(-np.inf): 1}
    assert FLOORS[-1] == np.inf


def test_counts_of_two_parts_add_up() -> None:
    values = np.random.default_rng(1).lognormal(3, 2, 1_000).astype(np.float32)
    first, second = sparse(magnitudes(values[:300])), sparse(magnitudes(values[300:]))
    assert (dense(merged(first, second)) == magnitudes(values)).all()


def test_quantiles_are_those_of_the_values_within_a_bucket() -> None:
    values = np.random.default_rng(2).normal(0, 5, 5_000)
    levels = np.linspace(0.01, 0.99, 33)
    found = size_quantiles(magnitudes(np.append(values, [0] * 900 + [np.nan, np.inf] * 50)), levels)
    expected = np.quantile(np.abs(values), levels)
    assert (np.abs(np.log(found / expected)) <= np.log(1.125)).all()
    with pytest.raises(ValueError, match="finite and not 0"):
        size_quantiles(magnitudes(np.zeros(3)), levels)
