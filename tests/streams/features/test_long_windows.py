"""Windows of thousands of events, which are added up by chunks."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from window_model import Event, Label, feed, make_plan

from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

N = 6_000
WINDOW = {"kind": "window", "entity": "card", "field": "amount"}
TABLES = [
    {**WINDOW, "aggregate": "sum", "window": "1500ms"},
    {**WINDOW, "aggregate": "mean", "window": "4s"},
    {**WINDOW, "aggregate": "count", "window": "4s"},
    {**WINDOW, "aggregate": "sum", "window": "2s", "delay": "2s"},
    {"kind": "history_ratio", "entity": "card", "field": "amount", "window": "4s"},
    {"kind": "label", "entity": "card", "aggregate": "rate", "window": "3s", "delay": "1s"},
]
PLAN = make_plan(*TABLES)


def stream(seed: int, scale: float = 1.0) -> list[Event]:
    """Return one card's events, one each millisecond, a tenth of them without an amount."""
    rng = np.random.default_rng(seed)
    amounts = (rng.normal(0, 50, N) * scale).tolist()
    missing = (rng.random(N) < 0.1).tolist()
    return [Event(n, n, amount=None if missing[n] else amounts[n]) for n in range(N)]


def labels_of(events: list[Event]) -> list[Label]:
    """Every seventh event is a fraud, known half a second later; some of it is taken back."""
    frauds = [(n + 500, n, 1.0) for n in range(0, N - 500, 7)]
    return sorted(frauds + [(n + 900, n, 0.0) for n in range(0, N - 900, 21)])


def expected(events: list[Event], labels: list[Label], position: int) -> list[float]:
    """Return the vector of one event, each sum correctly rounded."""

    def values(low: int, high: int) -> list[float]:
        inside = events[max(low, 0) : max(high, 0)]
        return [event.amount for event in inside if event.amount is not None]

    n = position + 1
    known = {about: value for at, about, value in labels if at <= position}
    risky = [known.get(k, 0.0) for k in range(max(n - 4_000, 0), max(n - 1_000, 0))]
    before, mine = values(position - 3_999, position), events[position].amount
    return [
        math.fsum(values(n - 1_500, n)),
        math.fsum(values(n - 4_000, n)) / len(values(n - 4_000, n)),
        len(values(n - 4_000, n)),
        math.fsum(values(n - 4_000, n - 2_000)),
        math.nan if mine is None else mine / (math.fsum(before) / len(before)),
        sum(risky) / len(risky) if risky else 0.0,
    ]


def check(matrix: NDArray[np.float64], events: list[Event], labels: list[Label]) -> None:
    scale = max(abs(event.amount or 0) for event in events)
    for position in [*range(1_020, 1_030), *range(3_000, N, 61)]:
        want = expected(events, labels, position)
        np.testing.assert_allclose(matrix[position], want, rtol=1e-9, atol=1e-11 * scale)


def test_sums_of_chunks_follow_time_labels_and_missing_values() -> None:
    events = stream(1)
    labels = labels_of(events)
    check(feed(FeatureState(PLAN), events, labels, range(0, N, 900)), events, labels)


@pytest.mark.parametrize("scale", [1e-9, 1e30])
def test_values_too_small_or_large_for_chunks_are_added_one_by_one(scale: float) -> None:
    events = stream(2, scale)
    check(feed(FeatureState(PLAN), events), events, [])


def test_one_outlier_is_added_one_by_one_as_long_as_it_is_in_the_window() -> None:
    events = stream(3)
    events[1_500].amount = 1e20
    matrix = feed(FeatureState(PLAN), events)
    assert matrix[[2_700, 2_999], 0].tolist() == [1e20, 1e20]
    assert matrix[3_000, 0] == pytest.approx(math.fsum(e.amount or 0 for e in events[1_501:3_001]))


def test_entities_that_share_chunks_do_not_share_sums() -> None:
    """Blocks begin anywhere in the arena, and what one leaves another takes over."""
    plan = make_plan(TABLES[0])
    rng = np.random.default_rng(8)
    cards = rng.choice(["a", "b", "c", "d", "e"], size=12_000, p=[0.4, 0.3, 0.2, 0.07, 0.03])
    amounts = rng.integers(0, 100, 12_000)
    events = [
        Event(n, n // 3, card, amount=float(amount))
        for n, (card, amount) in enumerate(zip(cards.tolist(), amounts.tolist(), strict=True))
    ]
    matrix = feed(FeatureState(plan, WindowSettings(allowed_lateness="1ms")), events)
    times = np.arange(12_000) // 3
    for card in "abcde":
        mine = np.flatnonzero(cards == card)
        total = np.concatenate([[0], np.cumsum(amounts[mine])])
        low = np.searchsorted(times[mine], times[mine] - 1_500, side="right")
        np.testing.assert_array_equal(matrix[mine, 0], total[1:] - total[low])


def test_bits_depend_on_neither_batches_nor_order_nor_what_was_forgotten() -> None:
    events = stream(4)
    labels = labels_of(events)
    settings = WindowSettings(allowed_lateness="400ms")
    whole = feed(FeatureState(PLAN, settings), events, labels)
    cut = feed(FeatureState(PLAN, settings), events, labels, range(0, N, 77))
    assert whole.tobytes() == cut.tobytes()

    # The last second again, after a start from only what the windows reach, in another order.
    start, tail = 900, N - 1_000
    rng = np.random.default_rng(5)
    jumbled = np.argsort(np.arange(start, tail) + rng.uniform(0, 400, tail - start)) + start
    state = FeatureState(PLAN, settings)
    feed(state, [events[k] for k in jumbled])
    known = [(0, about, value) for at, about, value in labels if at <= tail and about >= start]
    later = [(at - tail, about, value) for at, about, value in labels if at > tail]
    replayed = feed(state, events[tail:], known + later)
    assert replayed.tobytes() == whole[tail:].tobytes()


def test_sums_do_not_depend_on_the_order_even_of_events_at_one_time() -> None:
    plan = make_plan(TABLES[0] | {"window": "1d"})
    events = stream(6)
    for event in events:
        event.time = 0
    sums = []
    for order in (events, events[::-1]):
        state = FeatureState(plan)
        feed(state, order)
        sums.append(feed(state, [Event(N, 1)]).tobytes())
    assert sums[0] == sums[1]
