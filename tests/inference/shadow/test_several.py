import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from online_fdr.core.abstract.abstract_gamma_seq import AbstractGammaSequence
from online_fdr.e_values import ELond
from ville.evalues import combine

from inference.shadow.statistics.several import alpha_of_candidate, e_lond_rejects, log_mean_e


class InverseSquares(AbstractGammaSequence):
    def calc_gamma(self, j: int, *args: object, **kwargs: object) -> float:
        return 6 / (math.pi * j) ** 2


def test_shares_of_alpha_sum_to_it() -> None:
    shares = [alpha_of_candidate(place, 0.05) for place in range(1, 20_001)]
    assert shares[0] == pytest.approx(0.0304, abs=1e-4)
    assert 0.0499 < sum(shares) < 0.05
    with pytest.raises(ValueError, match="number 1"):
        alpha_of_candidate(0, 0.05)


@given(st.lists(st.sampled_from([0.0, 0.5, 0.999, 1.001, 30.0]), min_size=1, max_size=40))
def test_e_lond_is_that_of_online_fdr(surpluses: list[float]) -> None:
    """E-values on both sides of the level that holds for them."""
    theirs = ELond(0.05, gamma_seq=InverseSquares())
    rejected = 0
    for place, surplus in enumerate(surpluses, 1):
        e_value = surplus / (0.05 * InverseSquares().calc_gamma(place) * (rejected + 1))
        log_e = math.log(e_value) if e_value else -math.inf
        ours = e_lond_rejects(log_e, place, rejected, 0.05)
        assert ours == theirs.test_one(e_value) == (surplus > 1)
        rejected += ours


def test_candidates_accepted_before_must_have_been_before() -> None:
    with pytest.raises(ValueError, match="rejected = 2 of the 1"):
        e_lond_rejects(9.0, 2, 2, 0.05)


@given(st.lists(st.floats(-30, 600), min_size=1, max_size=9))
def test_the_mean_is_that_of_ville(logs: list[float]) -> None:
    found = log_mean_e(logs)
    assert found == pytest.approx(float(np.log(combine(np.exp(logs)))), abs=1e-9)


def test_the_mean_of_extremes() -> None:
    assert log_mean_e([0.0] * 7) == 0.0
    assert log_mean_e([-math.inf, -math.inf]) == -math.inf
    assert log_mean_e([5_000.0, -math.inf]) == pytest.approx(5_000 - math.log(2))
    np.testing.assert_allclose(log_mean_e([[0.0, 0.0], [-2e4, -2e4]]), [0, -2e4])
