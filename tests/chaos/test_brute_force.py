"""The campaign's own reading of the documents agrees with Weir on an undisturbed stream."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from streams.events.contract import EventContract
from streams.events.json_decoder import Decoder
from streams.events.labels import label_contract
from streams.features import FeaturePlan
from streams.features.declarations import FeatureDeclaration
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from tests.chaos import brute_force, malformed
from tests.chaos.configuration import FEATURES, MORE_FEATURES, PARTITIONS, settings
from tests.chaos.order import in_order
from tests.chaos.world import START_MS, Habits, World

VALUES = settings(Path("/nowhere"), "nobody:1")
CONTRACT = EventContract(**VALUES["event"])


@pytest.mark.parametrize(
    ("contract", "makers", "body"),
    [
        (
            CONTRACT,
            malformed.EVENTS,
            {"id": 5, "at": START_MS, "card": "c12", "terminal": 3, "amount": 12.5},
        ),
        (label_contract(CONTRACT), malformed.LABELS, {"event_id": 5, "label": 1, "time": START_MS}),
    ],
    ids=["events", "labels"],
)
def test_malformed_records_are_rejected_for_the_promised_reason(contract, makers, body) -> None:
    decode = Decoder(contract).decode
    for reason, make in makers:
        assert [bad.reason for bad in decode([make(dict(body))]).rejected] == [reason]
    assert not decode([json.dumps(body).encode()]).rejected


def test_features_of_a_world_are_those_of_weir() -> None:
    declared = TypeAdapter(list[FeatureDeclaration]).validate_python(FEATURES + MORE_FEATURES)
    plan = FeaturePlan(declared, CONTRACT)
    world, decoder = World(7, 30_000), Decoder(CONTRACT)
    habits = Habits(too_late=0.0, malformed=0.0, bad_labels=0.0)
    parts = [[] for _ in range(PARTITIONS)]
    labels = []
    for _ in range(60):
        tick = world.tick(500, habits)
        for record in tick.events:
            parts[record.partition].append(json.loads(record.value))
        labels += [json.loads(record.value) for record in tick.labels]
    assert sum(map(len, labels)) > 1_000
    order, turns = in_order(
        [np.array([body["at"] for body in part]) for part in parts],
        [np.array([body["id"] for body in part]) for part in parts],
    )
    bodies = [body for part in parts for body in part]
    rows = [bodies[row] for row in order.tolist()]
    before = np.searchsorted(turns, [label["time"] for label in labels]).tolist()
    ids = [label["event_id"] for label in labels]
    values = [label["label"] for label in labels]
    expected = brute_force.features(
        brute_force.Events(
            ids=[body["id"] for body in rows],
            times=[body["at"] for body in rows],
            cards=[int(body["card"][1:]) for body in rows],
            terminals=[body.get("terminal", -1) for body in rows],
            amounts=[body["amount"] for body in rows],
            devices=[hash(body["device"]) & 0xFFFF if "device" in body else -1 for body in rows],
        ),
        brute_force.Labels(ids, values, before),
    )
    batch = decoder.decode([json.dumps(body).encode() for body in rows]).events
    state = FeatureState(plan, WindowSettings(allowed_lateness="1h"))
    known = LabelBatch(ids, np.array(values, float), np.array(before, np.int64))
    matrix = state.update(batch, known).matrix.astype(np.float32)
    for name, column in zip(plan.names, matrix.T, strict=True):
        if name == "std_1d":
            np.testing.assert_allclose(column, expected[name], rtol=1e-6)
        else:
            np.testing.assert_array_equal(column, expected[name], err_msg=name)
    assert np.count_nonzero(expected["shop_frauds"]) > 100


def test_partitions_merge_by_running_time_then_id_and_keep_their_own_order() -> None:
    times = [np.array([10, 30, 20, 40]), np.array([10, 30, 35])]
    ids = [np.array([5, 9, 1, 2]), np.array([4, 3, 8])]
    rows, turns = in_order(times, ids)
    # The event of time 20 came late: it queues behind that of 30, whose id is the larger.
    assert np.concatenate(ids)[rows].tolist() == [4, 5, 3, 9, 1, 8, 2]
    assert turns.tolist() == [10, 10, 30, 30, 30, 35, 40]
