"""Votes of rules on columns: firing, silent, and abstaining where a value is missing."""

import numpy as np
import pyarrow as pa
import pytest

from inference.weak_labels.votes import votes
from streams.events.label_rules import LabelRule

COLUMNS = {
    "amount": pa.array(np.array([10, 300, np.nan, 300], np.float32)),
    "mean": pa.array(np.array([100, 100, 100, np.nan], np.float32)),
    "country": pa.array(["DE", None, "FR", "IT"]).dictionary_encode(),
    "known": pa.array([True, False, None, True]),
    "count": pa.array([1, 2, None, 4], pa.int64()),
}


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (["amount > 200"], [0, 1, -1, 1]),
        (["amount > 2 * mean"], [0, 1, -1, -1]),
        (["country = 'DE'"], [1, -1, 0, 0]),
        (["country in ('DE', 'FR')"], [1, -1, 1, 0]),
        (["country not in ('DE', 'FR')"], [0, -1, 0, 1]),
        (["known = false"], [0, 1, -1, 0]),
        (["count in (1, 4)"], [1, 0, -1, 1]),
        (["count != 2"], [1, 0, -1, 1]),
        # One condition that is known to fail is enough.
        (["amount > 200", "country = 'IT'"], [0, -1, 0, 1]),
    ],
)
def test_rules_vote(when: list[str], expected: list[int]) -> None:
    rules = [LabelRule(name="rule", when=tuple(when)), LabelRule(name="b", when=("count > 0",))]
    found = votes(rules, COLUMNS.__getitem__, 4)
    assert found.dtype == np.int8
    assert found[:, 0].tolist() == expected
    assert found[:, 1].tolist() == [1, 1, -1, 1]


def test_columns_may_come_in_chunks() -> None:
    both = pa.chunked_array([pa.array([1.0]), pa.array([3.0, None])])
    rule = LabelRule(name="rule", when=("amount > 2", "amount < 4"))
    assert votes([rule], lambda name: both, 3)[:, 0].tolist() == [0, 1, -1]
