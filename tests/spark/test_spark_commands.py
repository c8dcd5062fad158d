"""The commands with ``--engine spark``, as a user runs them: the same answers as without it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from front_door import environment, write_events, write_settings

from inference.backends.cpu import CpuEngine
from inference.engine.protocol import TOLERANCE
from inference.packages.registry import Registry
from inference.policy.policy import DECISIONS, Policy
from monitoring.archive.table import EVENTS, open_tables
from streams.features.offline import compute_features
from streams.files.event_file import open_events
from streams.spark.writing import parts_of
from tests.weir.archived_world import fill_archive
from weir.config.settings import Settings, load_settings
from weir.services.wiring import open_registry
from weir.training.on_spark import training_set_by_spark
from weir.training.registering import training_set

pytest.importorskip("pyspark", reason="PySpark is not installed: `make spark-check` does so")
ROOT = Path(__file__).parents[2]


class Given(NamedTuple):
    folder: Path
    events: Path
    config: Path
    settings: Settings
    model: dict[str, Any]


def started(*arguments: object) -> "subprocess.Popen[str]":
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "weir", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONPATH=paths, WEIR_SPARK__MASTER="local[2]"),
    )


def weir(*arguments: object) -> dict[str, Any]:
    process = started(*arguments, "--json")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    said: dict[str, Any] = json.loads(out)
    return said


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("given")
    events = write_events(folder / "events.parquet")
    config = write_settings(folder / "weir.toml")
    model = weir("train", "--data", events, "-c", config)
    return Given(folder, events, config, load_settings(config), model)


def test_training_by_spark_gives_the_same_package(given: Given, tmp_path: Path) -> None:
    config = write_settings(tmp_path / "weir.toml")
    again = weir("train", "--data", given.events, "--engine", "spark", "-c", config)
    assert again["package_id"] == given.model["package_id"]
    assert not list((tmp_path / "data").glob("spark-rows-*"))


def test_rows_are_those_of_this_machine(given: Given, tmp_path: Path) -> None:
    """Whose they are, and what is at stake, included."""
    costs = {"costs": {"cap": 500, "friction": 20, "review": 5}}
    config = write_settings(
        tmp_path / "weir.toml",
        policy=costs,
        spark={"master": "local[2]"},
        feature_log={"include": ["amount"]},
    )
    settings = load_settings(config)
    file = open_events(given.events, settings.event, settings.labels.field)
    start, stop = int(file.times[500]), int(file.times[-500])
    here = training_set(settings, file, start, stop, lambda *_: None)
    there = training_set_by_spark(settings, given.events, start, stop, lambda *_: None)
    assert here.stakes is not None
    for name in ("matrix", "labels", "times", "keys", "stakes"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name), name)


def test_the_archive_is_scored_as_the_scorer_does(given: Given, tmp_path: Path) -> None:
    """By both engines, byte for byte; and each answer is the model's own on that vector."""
    settings, registry = given.settings, open_registry(given.settings)
    expected = archived(settings, given.events, tmp_path / "archive")
    scored = {}
    for engine in ("local", "spark"):
        out = tmp_path / engine
        said = weir(
            *("score", "--archive", tmp_path / "archive", "--model", "champion"),
            *("--out", out, "--engine", engine, "-c", given.config),
        )
        assert said["events"] == expected.num_rows
        scored[engine] = [part.read_bytes() for part in parts_of(out)]
        assert len(scored[engine]) > 3
    assert scored["local"] == scored["spark"]
    found = pa.concat_tables(map(pq.read_table, parts_of(tmp_path / "spark"))).sort_by("offset")
    check_answers(found, expected, registry, settings)
    assert said["decisions"] == {
        name: int(np.sum(found["decision"].to_numpy(zero_copy_only=False) == name))
        for name in DECISIONS
    }


def test_a_model_is_judged_on_an_archive_as_on_one_machine(given: Given) -> None:
    fill_archive(given.settings, given.events)
    place = given.settings.archive.place(given.settings.data_dir)
    here, there = (
        weir("evaluate", "--archive", place, "--engine", engine, "-c", given.config)
        for engine in ("local", "spark")
    )
    assert here == there
    assert here["frauds"] > 10


def archived(settings: Settings, path: Path, archive: Path) -> pa.Table:
    """Write the events' vectors to an archive, as the archiver does; by offset."""
    plan = settings.plan()
    file = open_events(path, settings.event, settings.labels.field)
    matrix = np.concatenate(
        [rows.matrix for rows in compute_features(file, plan, settings.labels.delay)]
    ).astype(np.float32)
    n = len(file)
    times = pa.array(file.times, pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC"))
    table = pa.table(
        {
            "event_id": file.events.column(settings.event.id),
            "key": file.events.column(settings.event.key),
            "event_time": times,
            "partition": pa.array(np.zeros(n, np.int32)),
            "offset": np.arange(n),
            "features": pa.StructArray.from_arrays(
                [pa.array(np.ascontiguousarray(column)) for column in matrix.T], list(plan.names)
            ),
            "feature_schema": pa.repeat(plan.schema_hash, n),
            "date": times.cast(pa.date32()),
        }
    )
    other = table.slice(0, 10).set_column(6, "feature_schema", pa.repeat("0" * 64, 10))
    events = open_tables(str(archive), {})[EVENTS]
    events.append(pa.concat_tables([table, other]), {"log/0": (0, n)})
    return table


def check_answers(
    found: pa.Table, expected: pa.Table, registry: Registry, settings: Settings
) -> None:
    package = registry.resolve("champion")
    vectors = expected["features"].combine_chunks()
    matrix = np.column_stack([vectors.field(name).to_numpy() for name in package.features.names])
    policy = Policy(settings.policy, package.thresholds)
    with CpuEngine(package) as engine:
        engine.warm_up()  # as a scorer's is, so that compiled trees may answer
        answers = engine.infer(matrix)
    assert found["event_id"].equals(expected["event_id"])
    for name, column in answers._asdict().items():
        assert np.abs(found[name].to_numpy() - column).max() <= TOLERANCE["float32"]
    decided = [DECISIONS[code] for code in policy.decide(answers)]
    assert found["decision"].to_pylist() == decided
    assert len(set(decided)) > 1


def test_an_archive_of_nothing_and_a_missing_folder_are_named(given: Given, tmp_path: Path) -> None:
    process = started(
        "score", "--archive", tmp_path / "no", "--out", tmp_path / "out", "-c", given.config
    )
    assert "there is no archive at" in process.communicate(timeout=120)[1]
    assert process.returncode == 1
    process = started("score", "--archive", tmp_path / "no", "-c", given.config)
    assert "--archive and --out go together" in process.communicate(timeout=120)[1]
    assert process.returncode == 2


def test_told_to_stop_it_stops_and_leaves_nothing(given: Given, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = started(
        "features", given.events, "--out", out, "--engine", "spark", "-c", given.config
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.iterdir()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_what_fails_on_an_executor_is_one_plain_line(given: Given, tmp_path: Path) -> None:
    events = pq.read_table(given.events)
    field = given.settings.event.id
    place = events.column_names.index(field)
    bad = events.set_column(place, field, pa.array([True] * len(events)))
    pq.write_table(bad, tmp_path / "bad.parquet")
    process = started(
        *("features", tmp_path / "bad.parquet", "--out", tmp_path / "out"),
        *("--engine", "spark", "-c", given.config),
    )
    said = process.communicate(timeout=120)[1].strip().splitlines()[-1]
    assert process.returncode == 1
    assert said.startswith("error: ")
    assert f"bad.parquet: column {field!r} is bool" in said
