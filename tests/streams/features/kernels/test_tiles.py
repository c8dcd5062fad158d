"""What a hot entity's oldest events become: sums of stretches of time, which windows take in."""

import copy
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from test_late_and_approximate import rows_of
from window_model import Event, Label, Model, assert_matrix, feed, make_plan
from window_strategies import SOME, cut_lists, streams, tables

from streams.features.kernels.tiles import TILES
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

WINDOW = {"kind": "window", "entity": "card", "field": "amount"}


def in_tiles(table: dict[str, Any]) -> bool:
    """Whether tiles hold what a feature needs, and reach far enough to be 1 ms long."""
    kept = table.get("aggregate") not in ("distinct", "last", "time_since")
    return kept and "1s" not in (table.get("window"), table.get("delay"))


@SOME
@given(
    st.lists(tables().filter(in_tiles), min_size=1, max_size=6),
    streams(lateness=50),
    cut_lists,
    st.integers(1, 4),
)
def test_tiles_of_a_millisecond_are_as_exact_as_the_events(
    drawn: list[dict[str, Any]],
    stream: tuple[list[Event], list[Label]],
    cuts: list[int],
    share: int,
) -> None:
    plan = make_plan(*drawn)
    events, labels = stream
    for number, event in enumerate(events):
        event.id = number
    learned: dict[int, Label] = {}
    for label in labels:
        learned.setdefault(label[1], label)
    labels = [label for label in labels if learned[label[1]] is label]
    settings = WindowSettings(allowed_lateness="50ms", max_events_per_entity=share)
    rows = rows_of(FeatureState(plan, settings), events, labels, cuts)
    assert not rows.late.any()
    assert_matrix(rows.matrix, Model(plan).run(copy.deepcopy(events), labels), plan)
    whole = feed(FeatureState(plan, settings), events, labels)
    assert whole.tobytes() == rows.matrix.tobytes()


def test_a_window_of_tiles_is_wrong_by_half_a_tile_at_most() -> None:
    """A card with an event each millisecond for a minute, which keeps the newest 500."""
    n, kept = 60_000, 20_000
    how = ("count", "sum", "mean", "min", "max", "std")
    plan = make_plan(
        *({**WINDOW, "aggregate": name, "window": "20s"} for name in how),
        {**WINDOW, "aggregate": "sum", "window": "400ms"},
    )
    amounts = np.random.default_rng(3).normal(100.0, 30.0, n)
    events = [Event(k, k, amount=float(amount)) for k, amount in enumerate(amounts)]
    settings = WindowSettings(allowed_lateness="1s", max_events_per_entity=500)
    state = FeatureState(plan, settings)
    rows = rows_of(state, events, [], list(range(0, n, 1_000)))
    assert rows.approximate.tolist() == [False] * 500 + [True] * (n - 500)
    assert state.dropped_events == {"card": n - 500}
    tile = 21_000 // (TILES - 2) + 1
    for position in range(kept, n, 977):
        inside = amounts[position + 1 - kept : position + 1]
        count, total, mean, least, most, deviation, short = rows.matrix[position]
        assert abs(count - kept) <= tile / 2
        assert abs(total - inside.sum()) <= tile / 2 * 2 * 250
        assert abs(mean - inside.mean()) < 0.5
        assert abs(deviation - inside.std(ddof=1)) < 0.5
        # The extremes of a few milliseconds more or less.
        wider = amounts[max(position + 1 - kept - tile, 0) : position + 1]
        narrower = amounts[position + 1 - kept + tile : position + 1]
        assert wider.min() <= least <= narrower.min()
        assert narrower.max() <= most <= wider.max()
        np.testing.assert_allclose(short, amounts[position - 399 : position + 1].sum())


def test_an_evicted_entitys_tiles_are_used_by_others() -> None:
    plan = make_plan({**WINDOW, "aggregate": "count", "window": "50ms"})
    settings = WindowSettings(allowed_lateness="1ms", max_events_per_entity=5)
    state = FeatureState(plan, settings)
    sizes = []
    for start in range(0, 60_000, 300):
        events = [Event(n, n, f"card {n // 30}", amount=1.0) for n in range(start, start + 300)]
        matrix = feed(state, events)
        assert matrix[:, 0].tolist() == [n % 30 + 1 for n in range(300)]
        sizes.append(state.nbytes)
    assert sizes[-1] <= 1.1 * max(sizes[:20])
