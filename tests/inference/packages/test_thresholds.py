import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inference.packages.thresholds import ThresholdError, ThresholdRow, Thresholds, fit_thresholds


@given(
    seed=st.integers(0, 2**31), n=st.integers(50, 400), levels=st.sampled_from([1, 3, 10, 10**6])
)
def test_no_bound_flags_more_than_its_rate_and_none_could_flag_more(seed, n, levels):
    rng = np.random.default_rng(seed)
    probability = np.float32(rng.integers(0, levels, n) / levels)
    labels = rng.integers(0, 2, n).astype(np.int8)
    fitted = fit_thresholds(probability, labels, 0.2, 0.05)
    distinct = np.unique(probability)
    for row in fitted.table:
        flagged = probability >= np.float32(row.probability)
        assert flagged.sum() <= row.alert_rate * n + 1e-9
        lower = distinct[distinct < np.float32(row.probability)]
        assert len(lower) == 0 or (probability >= lower[-1]).sum() > row.alert_rate * n - 1e-9 - 1
        assert row.recall == pytest.approx(labels[flagged].sum() / max(labels.sum(), 1))
    assert fitted.probability_at(0.2) == fitted.review
    assert fitted.probability_at(0.05) == fitted.decline


def test_the_rates_on_distinct_probabilities_are_exact():
    probability = np.linspace(0, 1, 1000, dtype=np.float32)
    fitted = fit_thresholds(probability, (probability > 0.95).astype(np.int8), 0.07, 0.01)
    assert (probability >= np.float32(fitted.review)).sum() == 70
    assert (probability >= np.float32(fitted.decline)).sum() == 10
    assert [row.alert_rate for row in fitted.table][:3] == [0.001, 0.002, 0.005]


def test_too_few_rows_for_a_rate_are_said():
    with pytest.raises(ThresholdError, match=r"100 hold-out rows are too few .* 0\.002"):
        fit_thresholds(np.linspace(0, 1, 100, dtype=np.float32), np.ones(100, np.int8), 0.1, 0.002)


def test_a_table_out_of_order_is_refused():
    rows = [
        ThresholdRow(alert_rate=rate, probability=p, precision=1, recall=1)
        for rate, p in ((0.1, 0.2), (0.2, 0.3))
    ]
    with pytest.raises(ValidationError, match="must fall while"):
        Thresholds(rows=10, table=tuple(rows), review=0.2, decline=0.3)
    with pytest.raises(ValidationError, match="at or above review"):
        Thresholds(rows=10, table=(rows[0],), review=0.2, decline=0.1)
