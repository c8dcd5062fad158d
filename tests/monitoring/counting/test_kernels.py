"""Counting over bins, beside the plain way."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.packages.drift_reference import count, fit_histogram
from monitoring.counting.kernels import Binning

ODD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3.4e38], np.float32)


@given(st.integers(0, 10_000), st.integers(1, 70))
def test_each_value_is_counted_where_the_plain_way_counts_it(seed: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(300, 3)).astype(np.float32)
    values[:, 1] = rng.integers(0, 4, 300)
    values[rng.random(values.shape) < 0.1] = rng.choice(ODD)
    edges = [fit_histogram(column, bins).edges for column in values.T]
    binning = Binning(edges)
    cells = rng.integers(0, 4, 300)
    found = np.zeros((4, 3, binning.bins), np.int64)
    binning.count(values, cells, found)
    for feature, size in enumerate(binning.sizes):
        for cell in range(4):
            expected = count(values[cells == cell, feature], edges[feature])
            assert found[cell, feature, :size].tolist() == expected.tolist()
        assert not found[:, feature, size:].any()
    before = found.copy()
    binning.count(values, cells, found)
    assert (found == 2 * before).all()
