"""The Handbook's 15 features on its own data, in the scorer's micro-batches."""

import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from streams.events.contract import EventContract
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.offline import compute_features
from streams.files.event_file import open_events

HANDBOOK = Path(__file__).parents[3] / "examples" / "handbook" / "weir.toml"
DAY_MS = 86_400_000


@pytest.mark.slow
def test_every_cell_of_the_golden_features(shared_data: Path) -> None:
    folder = shared_data / "handbook"
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}")
    settings = tomllib.loads(HANDBOOK.read_text())
    contract = EventContract.model_validate(settings["event"])
    plan = FeaturePlan(
        TypeAdapter(list[FeatureDeclaration]).validate_python(settings["features"]), contract
    )
    golden = pq.read_table(folder / "golden_features_2018-07-25_2018-08-14.parquet")
    file = open_events(folder / "transactions.parquet", contract, settings["labels"]["field"])
    start, stop = (
        int(np.datetime64(day, "ms").astype(int)) for day in ("2018-07-25", "2018-08-15")
    )
    rows = compute_features(file, plan, 7 * DAY_MS, start, stop, chunk=1_000)
    matrix = np.concatenate([each.matrix for each in rows])
    assert matrix.shape == (201_295, 15)
    want = np.column_stack([golden[name].to_numpy() for name in plan.names])
    np.testing.assert_allclose(matrix, want, rtol=0, atol=1e-6)
