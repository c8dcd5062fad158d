"""Events beyond the allowed lateness, or an entity's share: marked, and no others are wrong."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from window_model import Event, Label, Model, assert_matrix, make_batch, make_plan
from window_strategies import SOME, cut_lists, streams, tables

from streams.features import FeatureRows
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

COUNT = {"kind": "window", "entity": "card", "aggregate": "count", "window": "10ms"}


def rows_of(
    state: FeatureState, events: list[Event], labels: list[Label], cuts: list[int]
) -> FeatureRows:
    """Give a stream in micro-batches; its rows."""
    edges = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    parts = []
    for low, high in zip(edges, edges[1:] or edges, strict=False):
        known = [k for k in labels if low <= k[0] < high]
        batch = LabelBatch(
            [label_id for _, label_id, _ in known],
            np.array([value for _, _, value in known]),
            np.array([at - low for at, _, _ in known], np.int64),
        )
        parts.append(state.update(make_batch(events[low:high]), batch))
    return FeatureRows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class LateModel:
    """Which events are late, from the rule in the documentation, for one entity."""

    def __init__(self, reach: int, lateness: int, has_labels: bool) -> None:
        self.reach, self.keep, self.has_labels = reach, reach + lateness, has_labels
        self.newest: int | None = None
        self.known: dict[Any, tuple[int, int]] = {}

    def arrive(self, value: Any, time: int) -> bool:
        """Return whether an event of this value is late."""
        newest = time if self.newest is None else self.newest
        self.newest = max(newest, time)
        if value is None:
            return False
        last, floor = self.known.get(value, (newest - self.keep, newest - self.keep))
        if last <= newest - self.keep:
            last, floor = time, newest - self.keep
            forgotten = floor
        else:
            forgotten = max(floor, last - self.keep)
        self.known[value] = (max(last, time), floor)
        if self.has_labels:
            forgotten = max(forgotten, newest - self.keep)
        return time - self.reach < forgotten


@SOME
@given(st.lists(tables(), min_size=1, max_size=6), streams(lateness=60), cut_lists, st.data())
def test_what_is_marked_neither_late_nor_approximate_is_exact(
    drawn: list[dict[str, Any]],
    stream: tuple[list[Event], list[Label]],
    cuts: list[int],
    data: st.DataObject,
) -> None:
    """However disordered the stream is; and late is what the rule says, event by event."""
    plan = make_plan(*drawn)
    events, labels = stream
    place = {event.id: number for number, event in reversed(list(enumerate(events)))}
    labels = [known for known in labels if known[0] > place.get(known[1], len(events))]
    share = data.draw(st.sampled_from([1, 3, 100]))
    settings = WindowSettings(allowed_lateness="4ms", max_events_per_entity=share)
    rows = rows_of(FeatureState(plan, settings), events, labels, cuts)
    expected = np.array(Model(plan, 4).run(copy.deepcopy(events), labels), np.float64)
    sound = ~(rows.late | rows.approximate)
    assert_matrix(rows.matrix[sound], expected.reshape(rows.matrix.shape)[sound].tolist(), plan)
    models = [(e.entity, LateModel(e.retention_ms, 4, e.label_column >= 0)) for e in plan.entities]
    late = [
        sum(model.arrive(getattr(event, entity), event.time) for entity, model in models) > 0
        for event in events
    ]
    if share == 100:  # else a late event may take the place of the newest, which counts then
        assert rows.late.tolist() == late
        assert not rows.approximate.any()


@SOME
@given(st.lists(tables(), min_size=1, max_size=6), streams(lateness=30), cut_lists)
def test_within_the_allowed_lateness_nothing_is_marked_and_all_is_exact(
    drawn: list[dict[str, Any]], stream: tuple[list[Event], list[Label]], cuts: list[int]
) -> None:
    plan = make_plan(*drawn)
    events, labels = stream
    labels = [known for known in labels if known[0] < len(events)]
    state = FeatureState(plan, WindowSettings(allowed_lateness="30ms"))
    rows = rows_of(state, events, labels, cuts)
    assert not rows.late.any()
    assert not rows.approximate.any()
    assert_matrix(rows.matrix, Model(plan, 30).run(copy.deepcopy(events), labels), plan)


@pytest.mark.parametrize(("time", "late"), [(990, False), (989, True)])
def test_late_begins_behind_the_allowed_lateness(time: int, late: bool) -> None:
    state = FeatureState(make_plan(COUNT), WindowSettings(allowed_lateness="10ms"))
    rows = rows_of(state, [Event(0, 1_000), Event(1, time), Event(2, time, "b")], [], [])
    assert rows.late.tolist() == [False, late, late]


def test_approximate_are_windows_that_reach_to_what_was_forgotten() -> None:
    state = FeatureState(make_plan(COUNT), WindowSettings(max_events_per_entity=3))
    events = [Event(n, time) for n, time in enumerate([0, 1, 2, 3, 9, 10, 12, 21])]
    rows = rows_of(state, events, [], [])
    # Forgotten are 0 at 3, 1 at 9, 2 at 10, 3 at 12 and 9 at 21; a window is 10 ms long.
    assert rows.approximate.tolist() == [False, False, False, True, True, True, True, False]
    assert rows.matrix[:, 0].tolist() == [1, 2, 3, 3, 3, 3, 3, 2]
