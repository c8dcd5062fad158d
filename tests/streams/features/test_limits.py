"""More entities, or more labels that wait, than there may be: against lists that forget by hand."""

import copy
import logging
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from window_model import Event, Label, Model, assert_matrix, feed, make_batch, make_plan
from window_strategies import SOME, cut_lists, streams, tables

from streams.features import CorruptStateError, DumpMismatchError
from streams.features.entity_state import EntityState
from streams.features.kernels.enums import Counter
from streams.features.label_batch import LabelBatch
from streams.features.limit_warnings import LimitWarnings
from streams.features.plan import FeaturePlan
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

COUNT = {"kind": "window", "entity": "card", "aggregate": "count", "window": "1s"}
SUM = {**COUNT, "aggregate": "sum", "field": "amount"}
SHOPS = {**COUNT, "entity": "shop", "window": "300ms"}
FRAUDS = {"kind": "label", "entity": "card", "aggregate": "count", "window": "1s", "delay": "0ms"}
SHOP_FRAUDS = {**FRAUDS, "entity": "shop"}


class Limited(Model):
    """The plain model, which lets go of what is coldest by looking at all there is."""

    def __init__(self, plan: FeaturePlan, settings: WindowSettings) -> None:
        super().__init__(plan, settings.allowed_lateness)
        self.settings = settings
        self.alive: dict[str, dict[Any, tuple[int, int]]] = {e: {} for e in self.entities}
        self.begins: dict[tuple[str, Any], int] = {}
        self.ousted = dict.fromkeys(self.entities, 0)

    def wait(self, entity: str, label_id: Any, value: float) -> None:
        self.waiting[entity].pop(label_id, None)
        self.waiting[entity][label_id] = value
        if len(self.waiting[entity]) > self.settings.max_waiting_labels:
            del self.waiting[entity][next(iter(self.waiting[entity]))]

    def arrive(self, event: Event) -> list[float]:
        leaving = []
        for entity in self.entities:
            value, alive = getattr(event, entity), self.alive[entity]
            if value is None:
                continue
            if value not in alive and len(alive) >= self.settings.max_entities:
                coldest = min(alive, key=lambda each: alive[each])
                if alive[coldest][0] > event.time:
                    leaving.append((entity, value))
                else:
                    self.oust(entity, coldest)
            last = max(alive[value][0], event.time) if value in alive else event.time
            alive[value] = (last, len(self.events))
        vector = super().arrive(event)
        for entity, value in leaving:
            self.oust(entity, value)
        return vector

    def oust(self, entity: str, value: Any) -> None:
        last, _ = self.alive[entity].pop(value)
        self.ousted[entity] += last > self.newest - self.keep[entity]
        self.begins[entity, value] = len(self.events)
        for label_id, event in list(self.known[entity].items()):
            if getattr(event, entity) == value:
                del self.known[entity][label_id]

    def feature(self, d: Any, event: Event) -> float:
        if not hasattr(d, "entity"):
            return super().feature(d, event)
        everything = self.events
        self.events = everything[self.begins.get((d.entity, getattr(event, d.entity)), 0) :]
        try:
            return super().feature(d, event)
        finally:
            self.events = everything


def limits(entities: int, labels: int = 1_000_000, lateness: str = "30ms") -> WindowSettings:
    return WindowSettings(
        allowed_lateness=lateness, max_entities=entities, max_waiting_labels=labels
    )


@SOME
@given(
    st.lists(tables(), min_size=1, max_size=6),
    streams(lateness=30),
    cut_lists,
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_what_leaves_is_what_a_plain_list_would_let_go(
    drawn: list[dict[str, Any]],
    stream: tuple[list[Event], list[Label]],
    cuts: list[int],
    entities: int,
    labels: int,
) -> None:
    plan, settings = make_plan(*drawn), limits(entities, labels)
    events, known = stream
    state, model = FeatureState(plan, settings), Limited(plan, settings)
    # Labels at the very end find no event that is taken in any more: left out on both sides.
    known = [label for label in known if label[0] < len(events)]
    matrix = feed(state, events, known, cuts)
    assert_matrix(matrix, model.run(copy.deepcopy(events), known), plan)
    assert state.ousted_entities == {e.entity: model.ousted[e.entity] for e in plan.entities}
    assert all(count <= entities for count in state.entities.values())
    assert all(count <= labels for count in state.waiting_labels.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EntityState, "_evict", lambda self, looks: None)
        never = FeatureState(plan, settings)
        assert feed(never, events, known).tobytes() == matrix.tobytes()
        assert never.ousted_entities == state.ousted_entities


def busy_stream(seed: int, count: int) -> tuple[list[Event], list[Label]]:
    """Return events of many cards and shops, some late, and labels of which some come early."""
    rng = np.random.default_rng(seed)
    cards, shops = rng.zipf(1.4, (2, count)) % 40
    late = np.where(rng.random(count) < 0.2, rng.integers(0, 30, count), 0)
    times = np.cumsum(rng.choice([0, 1, 5, 30, 400], count, p=[0.3, 0.4, 0.2, 0.09, 0.01])) - late
    ids = np.where(rng.random(count) < 0.95, np.arange(count), rng.integers(0, count, count))
    rows = zip(ids.tolist(), times.tolist(), cards.tolist(), shops.tolist(), strict=True)
    events = [Event(n, t, str(c), s or None, amount=float(s)) for n, t, c, s in rows]
    at = np.sort(rng.integers(0, count, count // 3))
    about = np.clip(at + rng.integers(-60, 15, at.size), 0, None)
    return events, [(a, b, 1.0) for a, b in zip(at.tolist(), about.tolist(), strict=True)]


def part(stream: tuple[list[Event], list[Label]], low: int, high: int) -> Any:
    events, labels = stream
    return events[low:high], [(at - low, *rest) for at, *rest in labels if low <= at < high]


@pytest.mark.parametrize("seed", range(6))
def test_rollbacks_restarts_and_other_batches_make_no_other_leave(seed: int) -> None:
    plan = make_plan(COUNT, SUM, SHOPS, FRAUDS, SHOP_FRAUDS)
    settings, count = limits(6, 4), 900
    stream = busy_stream(seed, count)
    model = Limited(plan, settings)
    expected = model.run(copy.deepcopy(stream[0]), stream[1])
    rng = np.random.default_rng(seed)
    state = FeatureState(plan, settings)
    answers = np.full((count, 5), np.nan)
    committed, taken = 0, [0]
    while committed < count:
        for step in rng.choice(["take", "take", "commit", "back", "restart"], 3).tolist():
            if step == "take" and taken[-1] < count:
                low, high = taken[-1], min(taken[-1] + int(rng.integers(1, 60)), count)
                state.savepoint()
                answers[low:high] = feed(
                    state, *part(stream, low, high), rng.integers(0, high - low, 2)
                )
                taken.append(high)
            elif step == "commit" and len(taken) > 1:
                state.commit()
                committed = taken[1]
                del taken[0]
            elif step == "back" and len(taken) > 1:
                state.rollback()
                taken = [committed]
            elif step == "restart":
                if len(taken) > 1:
                    state.rollback()
                taken = [committed]
                parts = [bytes(each) for each in state.dump()]
                state = FeatureState.load(plan, settings, parts)
    assert_matrix(answers, expected, plan)
    assert state.ousted_entities == model.ousted
    assert min(model.ousted.values()) > 20
    assert min(state.dropped_labels.values()) > 20
    plain = FeatureState(plan, settings)
    assert feed(plain, *stream).tobytes() == answers.tobytes()
    assert state.ousted_entities == plain.ousted_entities
    assert state.dropped_labels == plain.dropped_labels
    assert state.entities == plain.entities


def test_below_the_limits_nothing_is_other_than_without_them() -> None:
    plan = make_plan(COUNT, SUM, SHOPS, FRAUDS)
    stream = busy_stream(3, 2_000)
    state, free = FeatureState(plan, limits(41, 2_000)), FeatureState(plan, limits(10**9, 10**9))
    assert feed(state, *stream).tobytes() == feed(free, *stream).tobytes()
    assert not any(state.ousted_entities.values())
    assert not any(state.dropped_labels.values())


def test_what_can_have_been_forgotten_is_said_to_be_late() -> None:
    state = FeatureState(make_plan({**COUNT, "window": "100ms"}), limits(2))

    def late(*events: Event) -> list[bool]:
        return state.update(make_batch(events), LabelBatch()).late.tolist()

    assert late(Event(1, 0, "a"), Event(2, 10, "b"), Event(3, 20, "c")) == [False, False, True]
    # "a" was at 0 and has left for "c"; "b" has not.
    assert late(Event(4, 30, "b"), Event(5, 40, "a")) == [False, True]
    # "b" leaves for "d" and "a" for "e", whose window begins behind all that they did.
    assert late(Event(6, 119, "d"), Event(7, 141, "e")) == [True, False]


def test_a_flood_of_old_strangers_pushes_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    state = FeatureState(make_plan({**COUNT, "window": "1h"}), limits(50))
    now = 10**7
    feed(state, [Event(n, now + n, f"card {n}") for n in range(50)])
    feed(state, [Event(n, now - 1, f"stranger {n}") for n in range(3_000)], cuts=range(0, 3000, 70))
    assert feed(state, [Event(n, now + 100, f"card {n}") for n in range(50)]).tolist() == [[2]] * 50
    assert state.ousted_entities == {"card": 3_000}
    assert "more than windows.max_entities (50): 70 of card so far" in caplog.text


def test_strangers_take_no_more_memory_than_the_limits_say() -> None:
    plan = make_plan({**COUNT, "window": "1d"}, SHOPS, {**FRAUDS, "window": "1d"})
    state = FeatureState(plan, limits(500, 300))
    sizes = []
    for start in range(0, 60_000, 2_000):
        numbers = range(start, start + 2_000)
        feed(
            state,
            [Event(n, n, f"card {n}", n) for n in numbers],
            [(n - start, -n - 1, 1.0) for n in numbers],
            range(0, 2_000, 500),
        )
        sizes.append(state.nbytes)
    assert state.entities == {"card": 500, "shop": 330}  # the others no window reaches
    assert state.waiting_labels == {"card": 300}
    assert max(sizes[10:]) <= max(sizes[:10])
    assert sizes[-1] < 2_000_000


def test_no_label_goes_to_the_tiles_of_who_has_the_slot_now() -> None:
    window = {"window": "300ms"}
    plan = make_plan({**COUNT, **window}, {**FRAUDS, **window})
    settings = WindowSettings(max_entities=1, max_events_per_entity=3, allowed_lateness="1ms")
    state = FeatureState(plan, settings)
    feed(state, [Event(n, 20, "hot") for n in range(10)])
    feed(state, [Event(50, 20, "between")])
    feed(state, [Event(100 + n, 21, "next") for n in range(10)])  # in the same tile
    matrix = feed(state, [Event(120, 22, "next")], [(0, 0, 1.0)])
    assert matrix.tolist() == [[11, 0]]
    assert state.ousted_entities == {"card": 2}


def test_a_state_that_holds_more_than_is_allowed_is_rebuilt() -> None:
    plan = make_plan(COUNT, FRAUDS)
    state = FeatureState(plan, limits(10, 10))
    feed(state, [Event(n, n, str(n)) for n in range(10)], [(0, 50 + n, 1.0) for n in range(4)])
    parts = [bytes(each) for each in state.dump()]
    assert FeatureState.load(plan, limits(20, 20), parts).entities == {"card": 10}
    with pytest.raises(DumpMismatchError, match=r"10 of 'card', and windows.max_entities is 9"):
        FeatureState.load(plan, limits(9, 10), parts)
    with pytest.raises(DumpMismatchError, match=r"4 of 'card', and windows.max_waiting_labels"):
        FeatureState.load(plan, limits(10, 3), parts)


@pytest.mark.parametrize(
    ("counter", "value"),
    [(Counter.LABELS, -9), (Counter.LABELS, 1 << 62), (Counter.LIVE, 3), (Counter.WAITING, 0)],
)
def test_counters_that_make_no_sense_are_noticed(counter: Counter, value: int) -> None:
    plan = make_plan(COUNT, FRAUDS)
    state = FeatureState(plan)
    feed(state, [Event(n, n, str(n)) for n in range(10)], [(0, 50, 1.0)])
    header, *others = state.dump()
    damaged = msgspec.msgpack.decode(header)
    damaged["entities"][0]["counters"][counter] = value
    with pytest.raises(CorruptStateError, match="make no sense"):
        FeatureState.load(plan, None, [msgspec.msgpack.encode(damaged), *others])


def test_the_log_says_so_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    now = [0.0]
    warnings = LimitWarnings(lambda: now[0])

    def look(count: int) -> int:
        caplog.clear()
        warnings.look("some.limit", 5, "entities", {"card": count, "shop": 0}, "Counts are small")
        return len(caplog.records)

    assert [look(0), look(3), look(4)] == [0, 1, 0]
    now[0] = 700.0
    assert [look(3), look(9)] == [0, 1]
    assert "some.limit (5): 9 of card so far. Counts are small. Set it" in caplog.text
    now[0] = 1_400.0
    assert look(9) == 0
