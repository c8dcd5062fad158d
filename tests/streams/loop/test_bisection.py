"""The one record to blame is found, and what is around it is answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.loop.fused.bisection import Bisection


def answer_all(count: int, poisoned: set[int], max_batch: int) -> tuple[list[int], list[int], int]:
    """Work through records as the loop does: ``(answered, rejected, attempts)``."""
    bisection = Bisection(max_batch)
    answered: list[int] = []
    rejected: list[int] = []
    position = attempts = 0
    while position < count:
        attempts += 1
        batch = list(range(position, min(count, position + bisection.limit)))
        suspects = [record for record in batch if record not in rejected]
        if poisoned & set(suspects):
            if bisection.failed(len(suspects)):
                assert len(suspects) == 1
                rejected += suspects
        else:
            bisection.passed(len(suspects))
            answered += suspects
            position += len(batch)
    assert not bisection.active or poisoned
    return answered, rejected, attempts


@given(st.integers(1, 300), st.sets(st.integers(0, 299), max_size=4), st.integers(1, 64))
def test_just_the_poisoned_are_condemned(count: int, poisoned: set[int], max_batch: int) -> None:
    poisoned = {record for record in poisoned if record < count}
    answered, rejected, _ = answer_all(count, poisoned, max_batch)
    assert sorted(rejected) == sorted(poisoned)
    assert answered == [record for record in range(count) if record not in poisoned]


def test_one_of_many_takes_few_attempts() -> None:
    _, rejected, attempts = answer_all(20_000, {7_777}, 2_000)
    assert rejected == [7_777]
    assert attempts < 10 + 4 * 11


def test_a_failure_that_passes_condemns_nobody() -> None:
    bisection = Bisection(100)
    assert not bisection.failed(100)
    assert bisection.active
    assert bisection.limit == 100
    bisection.passed(100)
    assert not bisection.active
    assert bisection.limit == 100


@pytest.mark.parametrize("size", [0, 1])
def test_the_smallest_batch_is_tried_twice(size: int) -> None:
    bisection = Bisection(100)
    assert not bisection.failed(size)
    assert bisection.failed(size)
