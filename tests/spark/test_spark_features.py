"""Features by Spark are those of one machine, cell by cell, whatever the file is like."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from streams.events.contract import EventContract, Field
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.offline import write_features as write_here
from streams.features.window_settings import WindowSettings
from streams.files.event_file import EventFileError, open_events
from streams.spark.features import Wanted, Written, write_features
from streams.spark.writing import FolderTakenError, parts_of
from weir.spark.session import SparkFailedError, SparkRun

EVENTS, DAY = 4_000, 86_400_000
THERE = "there [1] {x}*"  # no pattern, but a name
START = 1_700_000_000_000
DECLARATIONS: list[dict[str, Any]] = [
    {"name": "amount", "kind": "field", "field": "Amount"},
    {"name": "hour", "kind": "calendar", "part": "hour"},
    {"name": "n", "kind": "window", "entity": "card", "aggregate": "count", "window": "1d"},
    {"name": "shops", "kind": "window", "entity": "card", "aggregate": "distinct"}
    | {"field": "shop", "window": "2d"},
    {"name": "ratio", "kind": "history_ratio", "entity": "card", "field": "Amount"}
    | {"window": "5d"},
    {"name": "spread", "kind": "window", "entity": "shop", "aggregate": "std"}
    | {"field": "Amount", "window": "3d"},
    {"name": "risk", "kind": "label", "entity": "shop", "aggregate": "rate"}
    | {"window": "4d", "delay": "1d"},
    {"name": "frauds", "kind": "label", "entity": "card", "aggregate": "count"}
    | {"window": "4d", "delay": "1d"},
    {"name": "since", "kind": "window", "entity": "card", "aggregate": "time_since"}
    | {"window": "9d"},
]


def contract(**more: Any) -> EventContract:
    return EventContract(
        id="id",
        time="at",
        key="card",
        fields={
            "id": Field(type="string"),
            "card": Field(type="int"),
            "Amount": Field(type="float", required=False, max=1e6),
            "amount": Field(type="bool", required=False),
            "shop": Field(type="string", required=False),
        },
        **more,
    )


def plan_of(**more: Any) -> FeaturePlan:
    declared = TypeAdapter(list[FeatureDeclaration]).validate_python(DECLARATIONS)
    return FeaturePlan(declared, contract(**more))


def events() -> pa.Table:
    """Out of order, with ties, a hot shop, events without one, ids that come twice, bad rows."""
    rng = np.random.default_rng(11)
    ids = np.array([f"é{n:05d}" for n in range(EVENTS)], object)
    ids[EVENTS // 2 :][rng.random(EVENTS // 2) < 0.1] = ids[rng.integers(EVENTS)]
    times = START + rng.integers(0, 10 * DAY, EVENTS) // 600_000 * 600_000
    shops = rng.choice(["a", "b.c", "`d`", "", "e"], EVENTS, p=[0.8, 0.05, 0.05, 0.05, 0.05])
    amounts = np.round(rng.lognormal(3.0, 2.0, EVENTS), 2)
    amounts[:7] = 2e6
    labels = rng.choice([0, 1], EVENTS).astype(np.int8)
    return pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "at": pa.array(times, pa.timestamp("ms")),
            "card": rng.integers(0, 60, EVENTS),
            "Amount": pa.array(amounts, mask=rng.random(EVENTS) < 0.1),
            "amount": pa.array(rng.random(EVENTS) < 0.5),
            "shop": pa.array(shops, pa.string(), mask=rng.random(EVENTS) < 0.1),
            "fraud": pa.array(labels, mask=rng.random(EVENTS) < 0.3),
        }
    )


def different(here: pa.Table, there: pa.Table) -> int:
    """How many cells differ by a bit; two that are missing do not."""
    assert here.schema.equals(there.schema)
    assert here.num_rows == there.num_rows
    count = 0
    for name in here.column_names:
        mine, other = (table[name].combine_chunks() for table in (here, there))
        if pa.types.is_floating(mine.type):
            bits = "i4" if mine.type == pa.float32() else "i8"
            mine, other = mine.to_numpy(), other.to_numpy()
            unlike = mine.view(bits) != other.view(bits)
            count += int((unlike & ~(np.isnan(mine) & np.isnan(other))).sum())
        else:
            count += sum(
                one != two for one, two in zip(mine.to_pylist(), other.to_pylist(), strict=True)
            )
    return count


def both(
    spark: SparkRun, path: Path, plan: FeaturePlan, folder: Path, **more: Any
) -> tuple[pa.Table, pa.Table, Written]:
    windows = WindowSettings(max_events_per_entity=300)
    wanted = Wanted(plan, "fraud", DAY, windows, folder / "compiled", buckets=5, **more)
    written = write_features(spark.session, path, folder / THERE, wanted)
    write_here(
        folder / "here.parquet",
        open_events(path, plan.contract, "fraud"),
        plan,
        DAY,
        wanted.start_ms,
        wanted.stop_ms,
        with_labels=wanted.with_labels,
        as_served=wanted.as_served,
        windows=windows,
    )
    there = pa.concat_tables(map(pq.read_table, parts_of(folder / THERE)))
    return pq.read_table(folder / "here.parquet"), there, written


@pytest.mark.parametrize("deduplicate", [None, "1d"])
def test_no_cell_is_different(spark: SparkRun, tmp_path: Path, deduplicate: str | None) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(events(), path, row_group_size=700)
    here, there, written = both(spark, path, plan_of(deduplicate=deduplicate), tmp_path)
    assert different(here, there) == 0
    said = pq.read_metadata(tmp_path / "here.parquet").metadata
    assert written.approximate == int(said[b"weir.approximate_events"]) > 100
    assert written.late == int(said[b"weir.late_events"])
    assert written.sha256 == said[b"weir.events_sha256"].decode()
    assert written.rejected == open_events(path, plan_of().contract).rejected
    assert (written.repeats > 0) == (deduplicate is not None)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "events.parquet",
        "here.parquet",
        THERE,
    ]


def test_a_csv_and_a_span_of_it_as_a_model_gets_it(spark: SparkRun, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    pyarrow.csv.write_csv(events(), path)
    span = {"start_ms": START + 3 * DAY, "stop_ms": START + 8 * DAY}
    here, there, _ = both(spark, path, plan_of(), tmp_path, as_served=True, **span)
    assert there.num_rows > EVENTS / 3
    assert different(here, there) == 0


def test_labelled_events_alone(spark: SparkRun, tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(events(), path)
    here, there, _ = both(spark, path, plan_of(), tmp_path, with_labels=True)
    known = here.filter(pa.compute.is_valid(here["fraud"]))
    assert 0 < known.num_rows < here.num_rows
    assert different(known, there) == 0


def test_a_folder_of_something_else_stays(spark: SparkRun, tmp_path: Path) -> None:
    path, folder = tmp_path / "events.parquet", tmp_path / THERE
    pq.write_table(events(), path)
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    wanted = Wanted(plan_of(), "fraud", DAY, WindowSettings(), tmp_path)
    with pytest.raises(FolderTakenError, match=r"'thesis\.txt'"):
        write_features(spark.session, path, folder, wanted)
    assert (folder / "thesis.txt").exists()


def test_what_is_wrong_with_a_file_is_said_plainly(spark: SparkRun, tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    wanted = Wanted(plan_of(), "fraud", DAY, WindowSettings(), tmp_path)
    with pytest.raises(EventFileError, match=r"events\.parquet: No such file"):
        write_features(spark.session, path, tmp_path / "out", wanted)
    bad = pa.table({"at": [1], "id": ["1"], "card": ["x"], "fraud": [0]})
    pq.write_table(bad, path)
    with pytest.raises(EventFileError, match="no row is an event"):
        write_features(spark.session, path, tmp_path / "out", wanted)
    pq.write_table(bad.set_column(2, "card", pa.array([None], pa.date32())), path)
    with pytest.raises(Exception, match=r"event\.fields declares 'int'") as caught:
        write_features(spark.session, path, tmp_path / "out", wanted)
    assert not isinstance(caught.value, SparkFailedError)  # the session's end says it plainly
    assert [each.name for each in tmp_path.iterdir()] == ["events.parquet"]
