"""Entities that no window reaches any more are forgotten, and nothing else changes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from window_model import Event, Label, feed, make_plan
from window_strategies import SOME, cut_lists, streams, tables

from streams.features.entity_state import EntityState
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

COUNT = {"kind": "window", "entity": "card", "aggregate": "count", "window": "100ms"}
SUM = {**COUNT, "aggregate": "sum", "field": "amount"}
FRAUDS = {
    "kind": "label",
    "entity": "card",
    "aggregate": "count",
    "window": "100ms",
    "delay": "0ms",
}
PLAN = make_plan(COUNT, SUM, FRAUDS)
SETTINGS = WindowSettings(allowed_lateness="10ms")


def passers_by(count: int) -> list[Event]:
    """Return an event each millisecond, each of another card, but every tenth of card "a"."""
    return [Event(n, n, "a" if n % 10 == 0 else f"card {n}", amount=1.0) for n in range(count)]


def seen(state: FeatureState) -> int:
    """How many cards a state has met; none of them comes back after it was evicted."""
    return state.entities["card"] + state.evicted_entities["card"]


@SOME
@given(st.lists(tables(), min_size=1, max_size=6), streams(lateness=60), cut_lists)
def test_a_state_that_evicts_answers_as_one_that_never_does(
    drawn: list[dict[str, Any]], stream: tuple[list[Event], list[Label]], cuts: list[int]
) -> None:
    plan, (events, labels) = make_plan(*drawn), stream
    settings = WindowSettings(allowed_lateness="2ms", max_events_per_entity=3)
    evicting = feed(FeatureState(plan, settings), events, labels, cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EntityState, "_evict", lambda self, looks: None)
        never = FeatureState(plan, settings)
        assert feed(never, events, labels, cuts).tobytes() == evicting.tobytes()
        assert not any(never.evicted_entities.values())


def test_memory_is_bounded_by_those_that_are_needed() -> None:
    state = FeatureState(PLAN, SETTINGS)
    events = passers_by(30_000)
    sizes, known = [], []
    for start in range(0, 30_000, 100):
        matrix = feed(state, events[start : start + 100])
        sizes.append(state.nbytes)
        known.append(state.entities["card"])
    assert matrix[-10:, 0].tolist() == [10] + [1] * 9
    assert max(known) < 2.5 * 110 + 100
    assert max(sizes[150:]) <= max(sizes[:150])
    assert seen(state) == len({event.card for event in events})


def test_a_value_that_was_evicted_comes_back_as_a_new_one() -> None:
    state = FeatureState(make_plan(COUNT, {"name": "last", **SUM, "aggregate": "last"}), SETTINGS)
    feed(state, [Event(-1, 0, "x", amount=5.0)])
    feed(
        state, [event for event in passers_by(2_000) if event.card != "x"], cuts=range(0, 2000, 50)
    )
    assert state.evicted_entities["card"] > 1_000
    matrix = feed(state, [Event(5_000, 2_000, "x", amount=1.0), Event(5_001, 2_001, "x")])
    np.testing.assert_array_equal(matrix, [[1, np.nan], [2, 1.0]])


def test_evictions_are_undone_released_and_dumped_like_all_else() -> None:
    events = passers_by(6_000)
    labels = [(n, n - 5, 1.0) for n in range(10, 6_000, 10)]
    state, plain = FeatureState(PLAN, SETTINGS), FeatureState(PLAN, SETTINGS)
    sizes: list[int] = []

    def give(to: FeatureState, low: int, high: int) -> bytes:
        known = [(at - low, *rest) for at, *rest in labels if low <= at < high]
        return feed(to, events[low:high], known, range(0, high - low, 40)).tobytes()

    for low in range(0, 5_000, 500):
        state.savepoint()
        give(state, low, low + 1_000)
        state.savepoint()
        give(state, low, low + 700)
        state.rollback()
        assert seen(state) == low * 9 // 10 + (low > 0)
        state.savepoint()
        first = give(state, low, low + 250)
        state.savepoint()
        # A dump between marks is of all that was taken in, and has no marks.
        loaded = FeatureState.load(PLAN, SETTINGS, [bytes(part) for part in state.dump()])
        second = give(state, low + 250, low + 500)
        state.commit()
        assert give(loaded, low + 250, low + 500) == second
        assert first + second == give(plain, low, low + 500)
        state.commit()
        sizes.append(state.nbytes)
        assert seen(loaded) == seen(state) == seen(plain) == (low + 500) * 9 // 10 + 1
    assert state.evicted_entities["card"] > 3_000
    assert sizes[-1] < 1.1 * sizes[4]
