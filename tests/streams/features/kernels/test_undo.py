"""What was marked, undone or kept: the state is one that has seen only what was kept."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from window_model import Event, Label, feed, make_plan
from window_strategies import SOME, streams, tables

from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

COUNT = {"kind": "window", "entity": "card", "aggregate": "count", "window": "1s"}
SUM = {**COUNT, "aggregate": "sum", "field": "amount"}
FRAUDS = {"kind": "label", "entity": "card", "aggregate": "count", "window": "1s", "delay": "0ms"}

Batch = tuple[list[Event], list[Label]]


@st.composite
def batches(draw: st.DrawFn, lateness: int) -> list[Batch]:
    """Draw a stream with late events and ids that come again, in batches with their labels."""
    events, labels = draw(streams(lateness))
    cuts = sorted(draw(st.lists(st.integers(0, len(events)), max_size=8)))
    edges = [0, *cuts, len(events)]
    return [
        (
            events[low:high],
            [(min(at, high) - low, *rest) for at, *rest in labels if low <= at < high + 1],
        )
        for low, high in pairwise(edges)
    ]


@SOME
@given(st.lists(tables(), min_size=1, max_size=8), batches(lateness=20), st.data())
def test_a_state_is_as_if_what_was_undone_had_never_come(
    drawn: list[dict[str, Any]], stream: list[Batch], data: st.DataObject
) -> None:
    plan = make_plan(*drawn)
    settings = WindowSettings(
        allowed_lateness="4ms", max_events_per_entity=data.draw(st.sampled_from([2, 5, 100]))
    )
    state = FeatureState(plan, settings)
    kept: list[Batch] = []
    in_flight: list[Batch] = []
    for batch in stream:
        state.savepoint()
        in_flight.append(batch)
        feed(state, *batch)
        for step in data.draw(st.lists(st.sampled_from(["release", "undo"]), max_size=2)):
            if in_flight and step == "release":
                state.commit()
                kept.append(in_flight.pop(0))
            elif in_flight:
                state.rollback()
                in_flight.clear()
    if in_flight:
        state.rollback()
    assert state.savepoints == 0
    plain = FeatureState(plan, settings)
    for batch in kept:
        feed(plain, *batch)
    assert state.dropped_events == plain.dropped_events
    for events, labels in data.draw(st.permutations(stream)):
        assert feed(state, events, labels).tobytes() == feed(plain, events, labels).tobytes()


def hot_stream(count: int) -> tuple[list[Event], list[Label]]:
    """Return events of which half belong to one card, some late, and labels 50 events later."""
    rng = np.random.default_rng(7)
    cards = np.where(rng.random(count) < 0.5, 0, rng.integers(0, 300, count)).tolist()
    late = np.where(rng.random(count) < 0.1, rng.integers(0, 400, count), 0).tolist()
    amounts = rng.normal(0, 50, count).tolist()
    events = [
        Event(n, n - late[n], str(card), card % 7, amount=amounts[n], items=card % 5)
        for n, card in enumerate(cards)
    ]
    return events, [(n, n - 50, 1.0) for n in range(50, count, 9)]


def test_hot_entities_large_journals_and_replaced_indexes_come_back() -> None:
    """Chunk sums, blocks that moved meanwhile, and forgetting at both limits."""
    plan = make_plan({**SUM, "window": "3s"}, {**FRAUDS, "window": "3s"}, {**SUM, "entity": "shop"})
    settings = WindowSettings(allowed_lateness="300ms", max_events_per_entity=1_500)
    events, labels = hot_stream(14_000)
    state, plain = FeatureState(plan, settings), FeatureState(plan, settings)

    def give(to: FeatureState, low: int, high: int) -> bytes:
        known = [(at - low, *rest) for at, *rest in labels if low <= at < high]
        return feed(to, events[low:high], known, range(0, high - low, 500)).tobytes()

    for low in range(0, 14_000, 3_500):
        state.savepoint()
        give(state, low, min(low + 7_000, 14_000))  # and so the index is replaced, too
        state.savepoint()
        give(state, low, low + 100)
        state.rollback()
        state.savepoint()
        answers = give(state, low, low + 3_500)
        state.commit()
        assert answers == give(plain, low, low + 3_500)
    assert state.dropped_events == plain.dropped_events
    assert state.dropped_events["card"] > 0


def test_without_a_savepoint_there_is_nothing_to_roll_back_or_commit() -> None:
    state = FeatureState(make_plan(COUNT))
    with pytest.raises(RuntimeError, match="without a savepoint"):
        state.rollback()
    with pytest.raises(RuntimeError, match="without a savepoint"):
        state.commit()


def test_new_entities_leave_when_they_are_undone_and_others_take_their_place() -> None:
    state = FeatureState(make_plan(COUNT, SUM))
    sizes = []
    for attempt in range(60):
        state.savepoint()
        feed(state, [Event(n, n, f"{attempt} {n}", amount=1.0) for n in range(400)])
        assert state.entities == {"card": 400}
        state.rollback()
        assert state.entities == {"card": 0}
        sizes.append(state.nbytes)
    assert sizes[-1] == sizes[0]
    assert feed(state, [Event(1, 1, "0 1", amount=1.0)]).tolist() == [[1, 1]]


def test_a_dump_after_an_undo_is_that_of_the_mark() -> None:
    plan = make_plan(SUM, FRAUDS)
    events, labels = hot_stream(2_000)
    state = FeatureState(plan)
    feed(state, events[:1_000], labels)
    state.savepoint()
    feed(state, events[1_000:])
    state.rollback()
    loaded = FeatureState.load(plan, None, state.dump())
    expected = feed(state, events[1_000:], [(0, 3, 1.0)])
    assert feed(loaded, events[1_000:], [(0, 3, 1.0)]).tobytes() == expected.tobytes()
