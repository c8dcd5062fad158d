"""The one record to blame is found, and what is around it is answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.loop.bisection import Isolation


def answer_all(count: int, poisoned: set[int], max_batch: int) -> tuple[list[int], list[int], int]:
    """Work through records as the loop does: ``(answered, condemned, attempts)``."""
    isolation = Isolation(max_batch)
    answered: list[int] = []
    condemned: list[int] = []
    position = attempts = 0
    while position < count:
        attempts += 1
        batch = list(range(position, min(count, position + isolation.limit)))
        suspects = [record for record in batch if record not in condemned]
        if poisoned & set(suspects):
            if isolation.failed(len(suspects)):
                assert len(suspects) == 1
                condemned += suspects
        else:
            isolation.passed(len(suspects))
            answered += suspects
            position += len(batch)
    assert not isolation.active or poisoned
    return answered, condemned, attempts


@given(st.integers(1, 300), st.sets(st.integers(0, 299), max_size=4), st.integers(1, 64))
def test_just_the_poisoned_are_condemned(count: int, poisoned: set[int], max_batch: int) -> None:
    poisoned = {record for record in poisoned if record < count}
    answered, condemned, _ = answer_all(count, poisoned, max_batch)
    assert sorted(condemned) == sorted(poisoned)
    assert answered == [record for record in range(count) if record not in poisoned]


def test_one_of_many_takes_few_attempts() -> None:
    _, condemned, attempts = answer_all(20_000, {7_777}, 2_000)
    assert condemned == [7_777]
    assert attempts < 10 + 4 * 11


def test_a_failure_that_passes_condemns_nobody() -> None:
    isolation = Isolation(100)
    assert not isolation.failed(100)
    assert isolation.active
    assert isolation.limit == 100
    isolation.passed(100)
    assert not isolation.active
    assert isolation.limit == 100


@pytest.mark.parametrize("size", [0, 1])
def test_the_smallest_batch_is_tried_twice(size: int) -> None:
    isolation = Isolation(100)
    assert not isolation.failed(size)
    assert isolation.failed(size)
