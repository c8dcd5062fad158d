"""A state that was dumped and loaded answers as the one that lived on."""

import os
import pickle
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from window_model import CONTRACT, Event, Label, feed, make_plan
from window_strategies import SOME, streams, tables

from streams.features import CorruptStateError, DumpMismatchError
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

COUNT = {"kind": "window", "entity": "card", "aggregate": "count", "window": "1s"}
SUM = {**COUNT, "aggregate": "sum", "field": "amount"}
FRAUDS = {"kind": "label", "entity": "card", "aggregate": "count", "window": "1s", "delay": "0ms"}


def reload(state: FeatureState, settings: WindowSettings | None) -> FeatureState:
    """Return what another process makes of a dump."""
    return FeatureState.load(state.plan, settings, [bytes(part) for part in state.dump()])


@SOME
@given(st.lists(tables(), min_size=1, max_size=8), streams(lateness=5), st.data())
def test_a_loaded_state_goes_on_with_the_same_bits(
    drawn: list[dict[str, Any]], stream: tuple[list[Event], list[Label]], data: st.DataObject
) -> None:
    plan = make_plan(*drawn)
    events, labels = stream
    settings = WindowSettings(
        allowed_lateness="3ms", max_events_per_entity=data.draw(st.sampled_from([2, 5, 100]))
    )
    at = data.draw(st.integers(0, len(events)))
    first = [label for label in labels if label[0] < at]
    second = [(place - at, *rest) for place, *rest in labels if place >= at]
    lived_on = FeatureState(plan, settings)
    feed(lived_on, events[:at], first)
    loaded = reload(lived_on, settings)
    assert (loaded.entities, loaded.dropped_events) == (lived_on.entities, lived_on.dropped_events)
    expected = feed(lived_on, events[at:], second)
    assert feed(loaded, events[at:], second).tobytes() == expected.tobytes()


def test_hot_entities_and_many_of_them_survive() -> None:
    """Blocks of all sizes, free lists, sums of chunks and a large id index."""
    plan = make_plan(SUM, FRAUDS, {**SUM, "entity": "shop", "field": "items"})
    settings = WindowSettings(allowed_lateness="1ms")
    rng = np.random.default_rng(5)
    cards = np.where(rng.random(9_000) < 0.5, 0, rng.integers(0, 400, 9_000)).tolist()
    events = [Event(n, n // 3, f"{c} ä", c % 7, amount=n / 4, items=c) for n, c in enumerate(cards)]
    labels = [(n, n - 50, 1.0) for n in range(50, 6_000, 9)]
    more = [(n - 6_000, n - 50, 1.0) for n in range(6_000, 9_000, 9)]
    lived_on = FeatureState(plan, settings)
    feed(lived_on, events[:6_000], labels, range(0, 6_000, 700))
    loaded = reload(lived_on, settings)
    again = reload(loaded, settings)
    expected = feed(lived_on, events[6_000:], more, range(0, 3_000, 700)).tobytes()
    assert feed(loaded, events[6_000:], more, range(0, 3_000, 700)).tobytes() == expected
    assert feed(again, events[6_000:], more).tobytes() == expected


def test_a_dump_copies_no_events_and_works_in_a_forked_child() -> None:
    plan = make_plan(SUM, FRAUDS)
    state = FeatureState(plan)
    feed(state, [Event(n, n, str(n % 9), amount=1.0) for n in range(5_000)])
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump([bytes(part) for part in state.dump()], pipe)
        os._exit(0)
    os.close(writing)
    # The parent goes on meanwhile; the child's copy of the memory does not see it.
    feed(state, [Event(n, n, "new", amount=1.0) for n in range(5_000, 6_000)])
    with os.fdopen(reading, "rb") as pipe:
        parts = pickle.load(pipe)
    assert os.waitpid(child, 0)[1] == 0
    loaded = FeatureState.load(plan, None, parts)
    assert loaded.entities == {"card": 9}
    times = state.dump()[5]
    assert not isinstance(times, bytes)
    assert np.shares_memory(np.frombuffer(times, np.int64), np.frombuffer(state.dump()[5]))


def test_other_features_settings_or_layouts_are_refused_by_name() -> None:
    plan = make_plan(SUM)
    parts = FeatureState(plan).dump()
    with pytest.raises(DumpMismatchError, match="feature schema hash"):
        FeatureState.load(make_plan(COUNT), None, parts)
    settings = WindowSettings(allowed_lateness="2s", max_events_per_entity=9)
    with pytest.raises(DumpMismatchError, match=r"allowed_lateness.*wanted 2000.*max_events"):
        FeatureState.load(plan, settings, parts)
    header = msgspec.msgpack.decode(parts[0])
    older = msgspec.msgpack.encode({"layout": 0, "what": "it was then"})
    with pytest.raises(DumpMismatchError, match="layout version 0"):
        FeatureState.load(plan, None, [older])
    assert header["layout"] == 2


def test_string_ids_are_told_from_integers() -> None:
    changed = CONTRACT.model_copy(
        update={"fields": CONTRACT.fields | {"id": CONTRACT.fields["card"]}}
    )
    parts = FeatureState(make_plan(FRAUDS)).dump()
    with pytest.raises(DumpMismatchError, match="type of the event ids int, wanted string"):
        FeatureState.load(make_plan(FRAUDS, contract=changed), None, parts)


def test_what_is_no_dump_is_refused_and_never_read_as_one() -> None:
    """Every buffer cut, missing, or overwritten with ones or noise: an error, or sound answers."""
    plan = make_plan(SUM, FRAUDS)
    state = FeatureState(plan)
    feed(state, [Event(n, n, str(n % 9), amount=1.0) for n in range(500)], [(100, 3, 1.0)])
    parts = [bytes(part) for part in state.dump()]
    with pytest.raises(CorruptStateError):
        FeatureState.load(plan, None, [])
    with pytest.raises(CorruptStateError):
        FeatureState.load(plan, None, parts[:-1])
    rng = np.random.default_rng(1)
    refused = 0
    for place, part in enumerate(parts):
        if not part:
            continue
        with pytest.raises(CorruptStateError):
            FeatureState.load(plan, None, [*parts[:place], part[:-1], *parts[place + 1 :]])
        for damaged in (b"\xff" * len(part), b"\x01" * len(part), rng.bytes(len(part))):
            mixed = [*parts[:place], damaged, *parts[place + 1 :]]
            try:
                loaded = FeatureState.load(plan, None, mixed)
            except CorruptStateError:
                refused += 1
                continue
            # What can't be told from data, such as an amount, must at least do no harm.
            feed(loaded, [Event(n, n, str(n % 9), amount=1.0) for n in range(500, 900)])
    assert refused >= 9


def test_names_are_kept_whatever_they_are() -> None:
    plan = make_plan({**COUNT, "entity": "shop"}, COUNT)
    state = FeatureState(plan)
    feed(state, [Event(0, 0, "", 2**62), Event(1, 1, "ä" * 300, -(2**62)), Event(2, 2, "x", None)])
    loaded = reload(state, None)
    matrix = feed(loaded, [Event(3, 3, "", -(2**62)), Event(4, 4, "ä" * 300, 5)])
    assert matrix.tolist() == [[2, 2], [1, 2]]
    assert loaded.entities == {"shop": 3, "card": 3}
