"""The Handbook's features, staged over three partitions with crashes, equal fused ones."""

import tomllib
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter
from staged_world import EVENTS, LABELS, Sources, World, fused, put

from streams.events.contract import EventContract
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.window_settings import WindowSettings

HANDBOOK = Path(__file__).parents[3] / "examples" / "handbook" / "weir.toml"
WEEK_MS = 7 * 86_400_000
PARTITIONS = 3


def test_a_slice_of_the_handbook(shared_data: Path) -> None:
    path = shared_data / "handbook" / "transactions.parquet"
    if not path.is_file():
        pytest.skip(f"no data at {path}")
    settings = tomllib.loads(HANDBOOK.read_text())
    contract = EventContract.model_validate(settings["event"])
    plan = FeaturePlan(
        TypeAdapter(list[FeatureDeclaration]).validate_python(settings["features"]), contract
    )
    table = pq.read_table(path).slice(0, 400_000)
    # Some terminals with all that happens at them, so that their labels count.
    table = table.filter(pc.less(table["TERMINAL_ID"], 250))
    sources: Sources = {(topic, p): [] for topic in (EVENTS, LABELS) for p in range(PARTITIONS)}
    for row in table.to_pylist():
        time = int(np.datetime64(row["TX_DATETIME"], "ms").astype(int))
        event = {name: row[name] for name in contract.fields} | {"TX_DATETIME": time}
        put(sources, (EVENTS, row["CUSTOMER_ID"] % PARTITIONS), event, time)
        known = time + WEEK_MS
        label = {"event_id": row["TRANSACTION_ID"], "label": row["TX_FRAUD"], "time": known}
        put(sources, (LABELS, row["TRANSACTION_ID"] % PARTITIONS), label, known)
    windows = WindowSettings()
    rng = np.random.default_rng(7)
    world = World(plan, windows, sources, 4, rng, key=contract.key, batch=400)
    world.run(0.02)
    expected, _ = fused(plan, windows, contract, sources)
    found = world.answers()
    assert sum(len(offsets) for offsets, _ in found.values()) == len(table) > 5_000
    for partition, (offsets, rows) in expected.items():
        assert found[partition][0] == offsets
        for ours, theirs in zip(found[partition][1], rows, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    frauds = [column for column, name in enumerate(plan.names) if "RISK" in name]
    assert all(np.nanmax(rows.matrix[:, frauds]) > 0 for _, rows in found.values())
