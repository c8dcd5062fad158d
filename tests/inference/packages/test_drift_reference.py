import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from inference.packages.drift_reference import Histogram, count, fit_histogram

VALUES = arrays(np.float32, st.integers(0, 200), elements=st.floats(width=32))


@given(VALUES, st.integers(2, 30))
def test_every_value_is_counted_once_and_the_file_reads_back(values, bins):
    histogram = fit_histogram(values, bins)
    assert sum(histogram.counts) == len(values)
    assert histogram.counts[-1] == np.isnan(values).sum()
    assert len(histogram.edges) <= bins + 1
    assert Histogram.model_validate_json(histogram.model_dump_json()) == histogram
    np.testing.assert_array_equal(count(values, histogram.edges), histogram.counts)


@given(VALUES, VALUES)
def test_counts_of_parts_add_up(one, other):
    edges = fit_histogram(one, 10).edges
    together = count(np.concatenate([one, other]), edges)
    np.testing.assert_array_equal(count(one, edges) + count(other, edges), together)


def test_bins_hold_about_as_many_rows_each():
    values = np.random.default_rng(0).lognormal(size=10_000).astype(np.float32)
    counts = fit_histogram(values, 20).counts
    assert len(counts) == 23
    assert counts[0] == counts[-2] == counts[-1] == 0
    assert max(abs(c - 500) for c in counts[1:-2]) <= 1


def test_a_rare_flag_has_a_bin_of_its_own():
    values = np.zeros(10_000, np.float32)
    values[:3] = 1
    histogram = fit_histogram(values, 20)
    assert histogram.counts == (0, 9997, 3, 0, 0)
    assert count(np.array([-1, 0, 1, 2, np.nan], np.float32), histogram.edges).tolist() == [1] * 5


def test_values_outside_the_training_range_are_told_apart():
    histogram = fit_histogram(np.linspace(0, 1, 1000, dtype=np.float32), 10)
    outside = np.array([-0.1, -np.inf, 1.1, np.inf, np.inf], np.float32)
    assert count(outside, histogram.edges).tolist() == [2, *[0] * 10, 3, 0]


def test_a_feature_that_was_never_there_counts_as_missing():
    histogram = fit_histogram(np.full(7, np.nan, np.float32), 10)
    assert histogram.counts == (0, 0, 0, 7)


def test_a_histogram_that_does_not_fit_is_refused():
    with pytest.raises(ValidationError, match="rise"):
        Histogram(edges=(1.0, 1.0), counts=(0, 0, 0, 0))
    with pytest.raises(ValidationError, match="2 edges need 4 counts"):
        Histogram(edges=(0.0, 1.0), counts=(0, 0, 0))
