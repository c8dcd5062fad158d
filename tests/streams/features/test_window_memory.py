"""What is remembered, moved, forgotten and counted."""

import numpy as np
import pytest
from window_model import CONTRACT, Event, Model, assert_matrix, feed, make_plan

from streams.events.record_batch import RecordBatch
from streams.features.kernels.blocks import free_blocks, free_places, sum_blocks
from streams.features.kernels.coldest import order_entities, order_labels
from streams.features.kernels.entity_slots import let_go, look_up, take_in
from streams.features.kernels.eviction import find_idle, forget_blocks
from streams.features.kernels.id_index import collect, count_kept, rebuild, refill
from streams.features.kernels.journal import undo
from streams.features.kernels.siphash import siphash
from streams.features.kernels.update import update_entity
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

COUNT = {"kind": "window", "entity": "card", "aggregate": "count", "window": "1s"}
SUM = {**COUNT, "aggregate": "sum", "field": "amount"}
DISTINCT = {**COUNT, "aggregate": "distinct", "field": "items"}
FRAUDS = {"kind": "label", "entity": "card", "aggregate": "count", "window": "1s", "delay": "0ms"}


def test_many_entities_and_hot_ones_outgrow_blocks_and_arena() -> None:
    """Blocks move up through all sizes and down again, and take over what others left."""
    plan = make_plan(SUM, {**DISTINCT, "window": "40ms"}, FRAUDS)
    rng = np.random.default_rng(5)
    cards = np.where(rng.random(4_000) < 0.5, 0, rng.integers(0, 400, 4_000))
    events = [
        Event(n, n // 3 if n < 2_000 else n, str(card), amount=n / 4, items=int(card) % 7)
        for n, card in enumerate(cards.tolist())
    ]
    labels = [(n, n - 50, 1.0) for n in range(50, 4_000, 9)]
    state = FeatureState(plan, WindowSettings(allowed_lateness="1ms"))
    before = state.nbytes
    actual = feed(state, events, labels, range(0, 4_000, 700))
    assert_matrix(actual, Model(plan).run(events, labels), plan)
    assert state.nbytes > before
    known = state.entities["card"] + state.evicted_entities["card"]
    assert known >= len(set(cards.tolist()))
    assert state.dropped_events == {"card": 0}


def test_a_steady_stream_needs_no_more_memory_for_ever() -> None:
    plan = make_plan({**COUNT, "window": "50ms"}, {**FRAUDS, "window": "50ms"})
    state = FeatureState(plan, WindowSettings(allowed_lateness="10ms"))
    sizes = []
    for start in range(0, 60_000, 3_000):
        events = [Event(n, n, str(n % 5)) for n in range(start, start + 3_000)]
        matrix = feed(state, events)
        sizes.append(state.nbytes)
    assert sizes[-1] == sizes[5]
    assert matrix[-1, 0] == 10


def test_what_a_block_leaves_behind_is_taken_over_by_others() -> None:
    """Entities that grow two by two need little more than what they hold at the end."""
    plan = make_plan({**COUNT, "window": "1d"})
    state = FeatureState(plan, WindowSettings(max_events_per_entity=64))
    feed(state, [Event(n, n, str(n // 128 * 2 + n % 2)) for n in range(400 * 64)])
    places_without_reuse, bytes_per_place = 400 * (4 + 8 + 16 + 32 + 64), 8 + 8
    assert state.nbytes < places_without_reuse * bytes_per_place


def test_an_entity_beyond_its_share_forgets_its_oldest_events_and_says_so() -> None:
    plan = make_plan(COUNT, SUM)
    state = FeatureState(plan, WindowSettings(max_events_per_entity=4))
    matrix = feed(state, [Event(n, n, amount=2.0**n) for n in range(6)])
    assert matrix[:, 0].tolist() == [1, 2, 3, 4, 4, 4]
    assert matrix[-1, 1] == 2**2 + 2**3 + 2**4 + 2**5
    assert state.dropped_events == {"card": 2}


def test_events_that_no_window_needs_make_way_without_being_counted_as_dropped() -> None:
    plan = make_plan({**COUNT, "window": "5ms"})
    state = FeatureState(plan, WindowSettings(max_events_per_entity=4, allowed_lateness="1ms"))
    feed(state, [Event(n, n) for n in range(4)])
    matrix = feed(state, [Event(4, 10_000)])
    assert matrix.tolist() == [[1]]
    assert state.dropped_events == {"card": 0}


@pytest.mark.parametrize("share", [0, -1, 2**22 + 1])
def test_a_share_that_cannot_be_kept_is_refused(share: int) -> None:
    with pytest.raises(ValueError, match="max_events_per_entity"):
        WindowSettings(max_events_per_entity=share)


def test_one_entity_with_a_hundred_thousand_events() -> None:
    """Against sums over arrays: the plain model would need hours."""
    n, kept = 100_000, 20_000
    plan = make_plan(
        {**COUNT, "window": "20s"},
        {**SUM, "window": "20s"},
        {**SUM, "window": "3s", "delay": "5s"},
        {**DISTINCT, "window": "2s"},
    )
    amounts = np.random.default_rng(3).integers(0, 1_000, n)  # whole numbers: sums are exact
    state = FeatureState(plan, WindowSettings(allowed_lateness="1s"))
    events = [Event(k, k, amount=float(a), items=k % 1_000) for k, a in enumerate(amounts)]
    matrix = feed(state, events, cuts=range(0, n, 1_000))
    total = np.concatenate([[0], np.cumsum(amounts)])
    end = np.arange(1, n + 1)
    np.testing.assert_array_equal(matrix[:, 0], np.minimum(end, kept))
    np.testing.assert_array_equal(matrix[:, 1], total[end] - total[np.maximum(end - kept, 0)])
    np.testing.assert_array_equal(
        matrix[:, 2], total[np.maximum(end - 5_000, 0)] - total[np.maximum(end - 8_000, 0)]
    )
    np.testing.assert_array_equal(matrix[:, 3], np.minimum(end, 1_000))
    assert state.dropped_events == {"card": 0}


def test_the_index_of_ids_forgets_what_no_window_reaches_and_keeps_what_one_does() -> None:
    plan = make_plan({**FRAUDS, "window": "3000ms"})
    state = FeatureState(plan, WindowSettings(allowed_lateness="100ms"))
    sizes = []
    for start in range(0, 40_000, 500):
        events = [Event(n, n, "a" if n % 100 == 0 else "b") for n in range(start, start + 500)]
        # Labels of the oldest events that a window still reaches, whatever was forgotten between.
        labels = [(500, n, 1.0) for n in range(max(start - 2_400, 0), start - 2_300, 100)]
        feed(state, events, labels)
        sizes.append(state.nbytes)
    matrix = feed(state, [Event(10**6, 40_000, "a")])
    # Every batch labelled one event of card a; of these only the one at 37,100 ms is within 3 s.
    assert matrix.tolist() == [[1]]
    assert sizes[-1] == sizes[len(sizes) // 2]


def test_labels_before_any_event_wait_for_it() -> None:
    """Also when there are so many that the index of ids is rebuilt meanwhile."""
    plan = make_plan({**FRAUDS, "window": "1d"})
    state = FeatureState(plan)
    ids = list(range(2_000))
    nothing = RecordBatch(CONTRACT, [], np.empty(0, np.int64))
    labels = LabelBatch(ids, np.ones(2_000), np.zeros(2_000, np.int64))
    assert state.update(nothing, labels).matrix.shape == (0, 1)
    newest = 1_700_000_000_000
    matrix = feed(state, [Event(n, newest + n) for n in ids])
    np.testing.assert_array_equal(matrix[:, 0], np.arange(1, 2_001))


def test_labels_of_events_that_never_come_are_forgotten() -> None:
    plan = make_plan({**FRAUDS, "window": "50ms"})
    sizes = []
    for unknown in (0, 2_000):
        state = FeatureState(plan, WindowSettings(allowed_lateness="10ms"))
        feed(state, [], [(0, -n, 1.0) for n in range(1, unknown + 1)])
        feed(state, [Event(n, n) for n in range(20_000)], cuts=range(0, 20_000, 100))
        sizes.append(state.nbytes)
    assert sizes[0] == sizes[1]


def test_a_label_in_an_empty_batch_lasts_as_long_as_one_between_events() -> None:
    plan = make_plan({**FRAUDS, "window": "1d"})
    state = FeatureState(plan)
    newest = 1_700_000_000_000
    feed(state, [Event(-1, newest)])
    feed(state, [], [(0, 5_000, 1.0)])
    matrix = feed(state, [Event(n, newest + n) for n in range(5_001)], cuts=range(0, 5_001, 50))
    assert matrix[-2:, 0].tolist() == [0, 1]


def test_a_label_on_an_id_that_came_twice_goes_to_the_later_event() -> None:
    plan = make_plan(FRAUDS, {**FRAUDS, "entity": "shop"})
    events = [Event(1, 0, "a", 1), Event(1, 500, "a", 1), Event(2, 1_200, "a", 1)]
    labels = [(2, 1, 1.0)]
    # At 1200 ms only the later of the two is inside the window.
    matrix = feed(FeatureState(plan), events, labels)
    assert matrix[-1].tolist() == [1, 1]


def test_a_label_can_be_taken_back() -> None:
    plan = make_plan(FRAUDS)
    events = [Event(n, n) for n in range(4)]
    labels = [(0, 0, 1.0), (2, 0, 0.0), (3, 0, 1.0)]
    assert feed(FeatureState(plan), events, labels)[:, 0].tolist() == [1, 1, 0, 1]


KERNELS = (
    update_entity,
    undo,
    find_idle,
    forget_blocks,
    free_blocks,
    count_kept,
    rebuild,
    collect,
    refill,
    sum_blocks,
    free_places,
    order_entities,
    order_labels,
    look_up,
    take_in,
    let_go,
    siphash,
)


def test_kernels_are_compiled_once_and_before_the_first_event() -> None:
    """Compiling takes seconds: a read-only or strided column must not cause it on the stream."""
    plan = make_plan(SUM, FRAUDS, {**COUNT, "entity": "shop"}, {**DISTINCT, "field": "country"})
    settings = WindowSettings(max_events_per_entity=300, max_entities=40, max_waiting_labels=5)
    state = FeatureState(plan, settings)
    state.warm_up()
    assert [len(kernel.signatures) for kernel in KERNELS] == [1] * len(KERNELS)
    for times in (np.arange(10, 20)[::2], np.frombuffer(np.arange(20, 25).tobytes(), np.int64)):
        records = [Event(int(time), 0, amount=1.0) for time in times]
        before = np.zeros(1, np.int32)
        before.flags.writeable = False
        state.update(RecordBatch(CONTRACT, records, times), LabelBatch([0], np.ones(1), before))
    for start in range(0, 10**7, 10**6):
        state.savepoint()
        feed(state, [Event(n, n, str(n % 90), amount=1.0) for n in range(start, start + 900)])
        feed(state, [Event(n, n, shop=n, amount=1.0) for n in range(start + 900, start + 1_700)])
        feed(state, [], [(0, -n, 1.0) for n in range(9)])
        if start % (2 * 10**6):
            state.rollback()
        else:
            state.commit()
    state = FeatureState.load(plan, settings, state.dump())
    feed(state, [Event(10**7, 10**7)], [(0, 10**7, 1.0)])
    assert [len(kernel.signatures) for kernel in KERNELS] == [1] * len(KERNELS)
