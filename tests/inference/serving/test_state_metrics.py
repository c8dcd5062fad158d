"""What windows hold, and had to forget, by entity and over several states."""

from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from pydantic import TypeAdapter

from inference.serving.state_metrics import StateMetrics
from streams.events.contract import EventContract, Field
from streams.events.json_decoder import Decoder
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

CONTRACT = EventContract(
    id="id", time="at", key="card", fields={"id": Field(type="int"), "card": Field(type="int")}
)
TABLES: list[dict[str, Any]] = [
    {"name": "n", "kind": "window", "entity": "card", "aggregate": "count", "window": "1h"},
    {
        "name": "frauds",
        "kind": "label",
        "entity": "card",
        "aggregate": "count",
        "window": "1h",
        "delay": "1h",
    },
]


def test_what_left_for_want_of_room_is_counted_by_entity() -> None:
    plan = FeaturePlan(TypeAdapter(list[FeatureDeclaration]).validate_python(TABLES), CONTRACT)
    registry = CollectorRegistry()
    metrics = StateMetrics(registry)
    states = []
    for events in (5, 3):
        state = FeatureState(plan, WindowSettings(max_entities=2, max_waiting_labels=4))
        at = 1_750_000_000_000
        values = [f'{{"id": {n}, "card": {n}, "at": {at + n}}}'.encode() for n in range(events)]
        batch = Decoder(CONTRACT).decode(values, np.full(events, at)).events
        unknown = LabelBatch(list(range(90, 96)), np.ones(6), np.full(6, events))
        state.update(batch, unknown)
        states.append(state)
    metrics.observe(states)

    def shown(name: str) -> float | None:
        return registry.get_sample_value(name, {"entity": "card"})

    assert shown("weir_entities") == 2 + 2
    assert shown("weir_ousted_entities") == 3 + 1
    assert shown("weir_waiting_labels") == 4 + 4
    assert shown("weir_dropped_labels") == 2 + 2
    assert shown("weir_evicted_entities") == 0
