import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.policy.policy import APPROVE, DECLINE, REVIEW
from inference.shadow.statistics.costs import Costs, loss_differences, losses

COSTS = Costs(cap=500.0, friction=12.0, review=4.0)


def test_every_decision_costs_what_the_table_says() -> None:
    decisions = [APPROVE, APPROVE, APPROVE, REVIEW, REVIEW, DECLINE, DECLINE]
    frauds = [1, 1, 0, 1, 0, 1, 0]
    amounts = [80.0, 9_000.0, 80.0, 80.0, 80.0, 80.0, 80.0]
    found = losses(decisions, frauds, amounts, COSTS)
    assert found.tolist() == [80, 500, 0, 4, 4, 0, 12]


def test_a_refund_costs_nothing() -> None:
    assert losses([APPROVE], [1], [-30.0], COSTS).tolist() == [0]


@given(st.floats(0.01, 1e4), st.floats(0, 1e4), st.floats(0, 1e4), st.floats(-1e3, 1e6))
def test_the_worst_difference_bounds_all_and_is_reached(
    cap: float, friction: float, review: float, amount: float
) -> None:
    costs = Costs(cap, friction, review)
    pairs = np.array(list(itertools.product(range(3), range(3), (0, 1))))
    for each in (amount, 1e9):
        found = loss_differences(
            pairs[:, 0], pairs[:, 1], pairs[:, 2], np.full(len(pairs), each), costs
        )
        assert np.abs(found).max() <= costs.worst_difference
    assert found.min() == -costs.worst_difference == -found.max()


def test_a_difference_above_zero_speaks_for_the_candidate() -> None:
    assert loss_differences([APPROVE], [DECLINE], [1], [80.0], COSTS) == 80
    assert loss_differences([APPROVE], [DECLINE], [0], [80.0], COSTS) == -12


def test_only_an_amount_that_is_needed_must_be_there() -> None:
    assert losses([DECLINE], [1], [np.nan], COSTS) == 0
    with pytest.raises(ValueError, match="NaN"):
        losses([APPROVE], [1], [np.nan], COSTS)
    with pytest.raises(ValueError, match="one shape"):
        losses([APPROVE, APPROVE], [1], [3.0], COSTS)
