"""Every cell of random plans over random streams, against the plain Python model."""

import copy
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from window_model import CONTRACT, Event, Label, Model, assert_matrix, feed, make_plan
from window_strategies import FEWER, MANY, cut_lists, streams, tables

from streams.events.contract import EventContract
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings


@FEWER
@given(st.lists(tables(), min_size=1, max_size=8), streams(), cut_lists)
def test_every_cell_equals_the_model(
    drawn: list[dict[str, Any]], stream: tuple[list[Event], list[Label]], cuts: list[int]
) -> None:
    plan = make_plan(*drawn)
    events, labels = stream
    actual = feed(FeatureState(plan), events, labels, cuts)
    assert_matrix(actual, Model(plan).run(copy.deepcopy(events), labels), plan)


@MANY
@given(st.lists(tables(), min_size=1, max_size=8), streams(lateness=30), cut_lists)
def test_late_events_see_what_has_arrived_up_to_their_own_time(
    drawn: list[dict[str, Any]], stream: tuple[list[Event], list[Label]], cuts: list[int]
) -> None:
    plan = make_plan(*drawn)
    events, labels = stream
    state = FeatureState(plan, WindowSettings(allowed_lateness="30ms"))
    assert_matrix(
        feed(state, events, labels, cuts), Model(plan, 30).run(copy.deepcopy(events), labels), plan
    )


@FEWER
@given(st.lists(tables(), min_size=1, max_size=8), streams(), cut_lists)
def test_bits_do_not_depend_on_the_micro_batches(
    drawn: list[dict[str, Any]], stream: tuple[list[Event], list[Label]], cuts: list[int]
) -> None:
    plan = make_plan(*drawn)
    events, labels = stream
    whole = feed(FeatureState(plan), events, labels)
    cut = feed(FeatureState(plan), events, labels, cuts)
    one_by_one = feed(FeatureState(plan), events, labels, range(len(events)))
    assert whole.tobytes() == cut.tobytes() == one_by_one.tobytes()


@MANY
@given(st.lists(tables(), min_size=1, max_size=8), st.data())
def test_state_does_not_depend_on_the_order_of_arrival(
    drawn: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Two orders within the allowed lateness, then the same later events: the same bits."""
    plan = make_plan(*drawn)
    events, labels = data.draw(streams())
    for number, event in enumerate(events):
        event.id, event.time = number, event.time + number  # distinct ids and times
    span = max((e.time for e in events), default=0) - min((e.time for e in events), default=0)
    shuffled = data.draw(st.permutations(events))
    learned = [(len(events), label_id, value) for _, label_id, value in labels]
    later = [
        Event(1000 + n, max((e.time for e in events), default=0) + n, card, shop, 7.25, n, True)
        for n, (card, shop) in enumerate([("a", 1), ("b", 2), ("ä", -5), ("a", None)] * 2)
    ]
    matrices = []
    for order, known in ((events, labels), (shuffled, learned)):
        state = FeatureState(plan, WindowSettings(allowed_lateness=f"{span + 1}ms"))
        feed(state, order, known)
        matrices.append(feed(state, later))
    assert matrices[0].tobytes() == matrices[1].tobytes()


def test_string_ids_and_string_entities() -> None:
    contract = EventContract.model_validate(
        CONTRACT.model_dump(exclude={"fields", "max_future", "min_time"})
        | {
            "fields": {
                name: value.model_dump() | ({"type": "string"} if name == "id" else {})
                for name, value in CONTRACT.fields.items()
            }
        }
    )
    rate = {"kind": "label", "entity": "card", "aggregate": "rate", "delay": "1ms", "window": "9ms"}
    plan = make_plan(rate, {**rate, "entity": "shop"}, contract=contract)
    events = [Event(f"payment {n}", n, "ab"[n % 2], n % 3) for n in range(30)]
    labels: list[Label] = [(n, f"payment {n + 2}", float(n % 3 == 0)) for n in range(0, 28, 2)]
    actual = feed(FeatureState(plan), events, labels, [3, 11])
    expected = Model(plan).run(events, labels)
    assert_matrix(actual, expected, plan)
    assert np.any(actual > 0)


def test_distinct_tells_integers_apart_that_float64_does_not() -> None:
    plan = make_plan(
        {
            "kind": "window",
            "entity": "card",
            "aggregate": "distinct",
            "field": "items",
            "window": "1s",
        }
    )
    items = [2**53, 2**53 + 1, 2**62, 2**62 + 1, -(2**62), 2**62, None, 3]
    events = [Event(n, n, items=value) for n, value in enumerate(items)]
    matrix = feed(FeatureState(plan), events)
    assert matrix[:, 0].tolist() == [1, 2, 3, 4, 5, 5, 5, 6]
