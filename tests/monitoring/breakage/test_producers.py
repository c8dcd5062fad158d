import numpy as np
import pytest
from scipy.stats import chi2_contingency

from monitoring.breakage.producers import _log_likelihood, source


def test_the_ratio_is_half_of_the_g_statistic() -> None:
    table = np.array([[40, 60], [90, 810]])
    expected = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic / 2
    sides = sum(_log_likelihood(row[0], row.sum()) for row in table)
    assert sides - _log_likelihood(130, 1_000) == pytest.approx(expected)


def test_the_producer_whose_events_moved_is_named() -> None:
    found = source({"4.1.0": (3, 500), "4.2.0": (200, 210), "4.2.1": (0, 40)})
    assert found is not None
    assert found.producer == "4.2.0"
    assert found.part == pytest.approx(200 / 203)


def test_what_is_usual_is_nobodys() -> None:
    assert source({"4.1.0": (290, 1_000), "4.2.0": (105, 110)}, base=0.3) is not None
    assert source({"4.1.0": (290, 1_000), "4.2.0": (105, 110)}) is None


def test_nobody_is_named_where_all_moved_or_few_did() -> None:
    assert source({"4.1.0": (500, 500), "4.2.0": (200, 200)}) is None
    assert source({"4.1.0": (0, 5), "4.2.0": (2, 3)}) is None
    assert source({"4.2.0": (200, 210)}) is None
    assert source({}) is None


def test_equal_shares_name_nobody() -> None:
    rng = np.random.default_rng(1)
    for _ in range(2_000):
        events = rng.integers(1, 3_000, 4)
        moved = rng.binomial(events, rng.uniform(0, 1))
        pairs = zip(moved.tolist(), events.tolist(), strict=True)
        assert source(dict(zip("abcd", pairs, strict=True))) is None
