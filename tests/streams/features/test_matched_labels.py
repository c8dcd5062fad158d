"""How many labels found an event: what the rest is about, no window knows."""

import numpy as np
import pytest
from window_model import Event, make_batch, make_plan

from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState

SHOP_FRAUDS = {
    "kind": "label",
    "entity": "shop",
    "aggregate": "count",
    "window": "1d",
    "delay": "0s",
}
DAY = {"kind": "window", "entity": "card", "aggregate": "count", "window": "1d"}


@pytest.fixture
def state() -> FeatureState:
    return FeatureState(make_plan(SHOP_FRAUDS, DAY))


def take_in(state: FeatureState, events: list[Event], *labels: int) -> None:
    known = LabelBatch(list(labels), np.ones(len(labels)), np.zeros(len(labels), np.int64))
    state.update(make_batch(events), known)


def test_labels_of_known_events_and_of_those_that_come_later_are_matched(
    state: FeatureState,
) -> None:
    state.savepoint()
    take_in(state, [Event(1, 1_000), Event(2, 2_000), Event(3, 3_000, shop=None)], 2, 77)
    take_in(state, [Event(4, 4_000)], 1, 3, 78)
    state.commit()
    assert state.newly_matched_labels() == {"shop": 2}, "2 waited; 3 has no shop; 77, 78 no event"
    assert state.newly_matched_labels() == {"shop": 0}, "each is counted once"


def test_only_what_is_committed_counts(state: FeatureState) -> None:
    take_in(state, [Event(1, 1_000), Event(2, 2_000)], 1)  # restored: answered before
    state.savepoint()
    take_in(state, [], 2)
    assert state.newly_matched_labels() == {"shop": 0}
    state.rollback()
    state.savepoint()
    take_in(state, [], 2)
    state.commit()
    assert state.newly_matched_labels() == {"shop": 1}
