"""Which events are looked at next."""

import numpy as np

from inference.weak_labels.review import choose


def test_what_teaches_is_drawn_by_its_worth() -> None:
    """Of unsure, disputed, sure and seen events, the former two, and never one twice."""
    model = np.repeat([0.5, 0.9, 0.01, 0.99], 100)
    rules = np.repeat([0.5, 0.1, 0.01, 0.99], 100)
    flagged = np.repeat([False, False, False, True], 100)
    found = choose(model, rules, flagged, 200, 0.25, np.random.default_rng(1))
    assert len(found.instructive) == 50
    assert sorted(found.risky) == list(range(300, 400))
    assert not set(found.risky) & set(found.instructive)
    drawn = np.bincount(found.instructive // 100, minlength=4)
    assert drawn[0] > 10
    assert drawn[1] > 10
    assert drawn[2] < 10
    assert found.value[:200].min() > 0.9 > 0.1 > found.value[200:].max()


def test_a_model_that_gave_no_answer_leaves_it_to_the_rules() -> None:
    model, rules = np.array([np.nan, 0.2, 0.3]), np.array([0.9, 0.0, 0.0])
    found = choose(model, rules, np.ones(3, bool), 3, 0, np.random.default_rng(1))
    assert found.risky.tolist() == [0, 2, 1]
    assert len(found.instructive) == 0


def test_the_capacity_may_be_more_than_there_is() -> None:
    found = choose(
        np.array([0.5, 0.0]), np.array([0.5, 0.0]), np.zeros(2, bool), 9, 1, np.random.default_rng()
    )
    assert found.instructive.tolist() == [0]  # of the other one nothing can be learnt
