"""A value that is erased leaves nothing, and a state that is rebuilt forgets the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from window_model import Event, Label, feed, make_plan
from window_strategies import SOME, streams, tables

from streams.features.erasures import Erasures
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

COUNT = {"kind": "window", "entity": "card", "aggregate": "count", "window": "1s"}
SHOPS = {**COUNT, "aggregate": "distinct", "field": "shop"}
OF_SHOP = {**COUNT, "entity": "shop", "aggregate": "sum", "field": "amount"}
FRAUDS = {"kind": "label", "entity": "card", "aggregate": "count", "window": "1s", "delay": "0ms"}
SETTINGS = WindowSettings(allowed_lateness="4ms", max_events_per_entity=5)
ROOMY = WindowSettings(allowed_lateness="4ms")


@SOME
@given(st.lists(tables(), min_size=1, max_size=8), streams(lateness=3), st.data())
def test_a_rebuilt_state_forgets_as_the_one_that_was_there(
    drawn: list[dict[str, Any]], stream: tuple[list[Event], list[Label]], data: st.DataObject
) -> None:
    plan, (events, labels) = make_plan(*drawn), stream
    heard = data.draw(st.integers(0, len(events)))
    # Some of its events may be ahead of the cut already, if somebody's clock is.
    newest = max((event.time for event in events[:heard]), default=0)
    cut = newest + data.draw(st.integers(-60, 30))
    entity = data.draw(st.sampled_from(["card", "shop"]))
    value = data.draw(st.sampled_from(["a", "b", "ä"] if entity == "card" else [1, 2, -5]))

    erasures, undone = Erasures(), data.draw(st.booleans())
    lived = FeatureState(plan, ROOMY, erasures=erasures)
    before = [label for label in labels if label[0] < heard]
    after = [(at - heard, *rest) for at, *rest in labels if at >= heard]
    feed(lived, events[:heard], before)
    erasures.add(entity, value, cut)
    if undone:
        lived.savepoint()
        feed(lived, events[heard:], after)
        lived.rollback()
    answers = feed(lived, events[heard:], after)

    known = Erasures()
    known.add(entity, value, cut)
    rebuilt = FeatureState(plan, ROOMY, erasures=known)
    feed(rebuilt, events[:heard], before)
    assert answers.tobytes() == feed(rebuilt, events[heard:], after).tobytes()


@pytest.mark.parametrize("entity", ["card", "shop"])
def test_nothing_is_left_of_an_erased_value(entity: str) -> None:
    plan = make_plan(COUNT, SHOPS, OF_SHOP, FRAUDS)
    value: Any = {"card": "a-very-particular-card", "shop": 0x7EADBEEF_5EED}[entity]
    written = value.encode() if isinstance(value, str) else value.to_bytes(8, "big")
    events = [Event(n, n, f"card {n % 3}", n % 4, amount=1.0) for n in range(100)]
    ours = [Event(n, n, amount=2.0, **{entity: value}) for n in range(100, 120)]
    erasures = Erasures()
    state = FeatureState(plan, SETTINGS, erasures=erasures)
    feed(state, [*events, *ours], [(110, 105, 1.0)])
    assert written in b"".join(map(bytes, state.dump()))
    erasures.add(entity, value, 1_000)
    feed(state, [Event(200, 200, "card 1", 1)])
    assert written not in b"".join(map(bytes, state.dump()))
    # Its events count as events without it until the cut comes, and then as those of somebody new.
    counts = feed(
        state,
        [
            Event(n, time, amount=2.0, **{entity: value})
            for n, time in ((300, 300), (301, 999), (302, 1_000), (303, 1_001))
        ],
    )
    column = plan.names.index("f0" if entity == "card" else "f2")
    assert counts[:, column].tolist() == ([0, 0, 1, 2] if entity == "card" else [0, 0, 2, 4])


def test_an_erasure_is_taken_back_with_the_batch_that_was_the_first_to_know() -> None:
    plan, erasures = make_plan(COUNT), Erasures()
    state = FeatureState(plan, erasures=erasures)
    feed(state, [Event(n, n, "a") for n in range(10)])
    whole = b"".join(map(bytes, state.dump()[1:]))
    state.savepoint()
    erasures.add("card", "a", 50)
    feed(state, [Event(11, 11, "b")])
    assert state.entities["card"] == 1
    state.rollback()
    assert b"".join(map(bytes, state.dump()[1:])) == whole
    feed(state, [Event(11, 11, "b")])
    assert state.entities["card"] == 1
    assert state.dropped_events == state.evicted_entities == state.ousted_entities == {"card": 0}


def test_of_a_busy_value_nothing_of_before_is_left_however_late_it_is_heard() -> None:
    """Its oldest events stand in tiles, as sums."""
    erasures = Erasures()
    state = FeatureState(make_plan(COUNT), SETTINGS, erasures=erasures)
    feed(state, [Event(n, n, "a") for n in range(100)])
    assert state.dropped_events == {"card": 95}
    erasures.add("card", "a", 98)
    assert feed(state, [Event(200, 200, "a")])[:, 0].tolist() == [3]
    erasures.add("card", 7, 98)  # what no event can hold is no value
    assert feed(state, [Event(201, 201, "a")])[:, 0].tolist() == [4]


def test_a_loaded_state_forgets_what_was_erased_since_it_was_written() -> None:
    plan, erasures = make_plan(COUNT), Erasures()
    state = FeatureState(plan, SETTINGS)
    feed(state, [Event(n, n, f"card {n % 2}") for n in range(10)])
    dumped = [bytes(each) for each in state.dump()]
    erasures.add("card", "card 1", 50)
    loaded = FeatureState.load(plan, SETTINGS, dumped, erasures)
    assert feed(loaded, [Event(50, 50, "card 1"), Event(51, 51, "card 0")])[:, 0].tolist() == [1, 6]
