"""Offline features equal those of the stream, and the Handbook's."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from streams.events.contract import EventContract, Field
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.label_batch import LabelBatch
from streams.features.offline import (
    compute_features,
    training_matrix,
    without_repeats,
    write_features,
)
from streams.features.plan import check_label_delays
from streams.features.state import FeatureState
from streams.files.event_file import EventFile, open_events

HANDBOOK = Path(__file__).parents[3] / "examples" / "handbook" / "weir.toml"
CONTRACT = EventContract(
    id="id",
    time="at",
    min_time="0001-01-01",
    key="card",
    fields={
        "id": Field(type="string"),
        "card": Field(type="int"),
        "amount": Field(type="float", required=False),
        "terminal": Field(type="string", required=False),
    },
)
DECLARATIONS: list[dict[str, Any]] = [
    {"name": "amount", "kind": "field", "field": "amount"},
    {"name": "hour", "kind": "calendar", "part": "hour"},
    {"name": "n", "kind": "window", "entity": "card", "aggregate": "count", "window": "1m"},
    {
        "name": "shops",
        "kind": "window",
        "entity": "card",
        "aggregate": "distinct",
        "field": "terminal",
        "window": "1m",
    },
    {"name": "ratio", "kind": "history_ratio", "entity": "card", "field": "amount", "window": "5m"},
    {
        "name": "risk",
        "kind": "label",
        "entity": "terminal",
        "aggregate": "rate",
        "window": "3m",
        "delay": "30s",
    },
]
DELAY_MS = 30_000


def plan_of(declarations: list[dict[str, Any]], contract: EventContract = CONTRACT) -> FeaturePlan:
    adapter = TypeAdapter(list[FeatureDeclaration])
    return FeaturePlan(adapter.validate_python(declarations), contract)


PLAN = plan_of(DECLARATIONS)


@pytest.fixture
def table() -> pa.Table:
    """600 events in random order, many at the same time, labels of some unknown."""
    rng = np.random.default_rng(3)
    n = 600
    return pa.table(
        {
            "id": [f"e{i}" for i in rng.permutation(n)],
            "at": rng.integers(0, 600, n) * 1000,
            "card": rng.integers(0, 9, n),
            "amount": pa.array(rng.uniform(1, 9, n), mask=rng.random(n) < 0.1),
            "terminal": pa.array(
                [f"t{i}" for i in rng.integers(0, 5, n)], mask=rng.random(n) < 0.1
            ),
            "fraud": pa.array(rng.random(n) < 0.3, mask=rng.random(n) < 0.2),
        }
    )


@pytest.fixture
def file(table: pa.Table, tmp_path: Path) -> EventFile:
    pq.write_table(table, tmp_path / "events.parquet")
    return open_events(tmp_path / "events.parquet", CONTRACT, "fraud")


def one_by_one(file: EventFile) -> NDArray[np.float64]:
    """Features as a stream would compute them that is read event by event, label by label."""
    assert file.labels is not None
    state = FeatureState(PLAN)
    # A label of the same time comes before the event.
    turns = [(int(time), 1, i) for i, time in enumerate(file.times)]
    turns += [
        (int(time) + DELAY_MS, 0, i)
        for i, (time, label) in enumerate(zip(file.times, file.labels, strict=True))
        if label >= 0
    ]
    rows = []
    labels: list[int] = []
    for _, is_event, i in sorted(turns):
        if not is_event:
            labels.append(i)
            continue
        known = LabelBatch(
            [file.events.ids[k] for k in labels],
            file.labels[labels].astype(np.float64),
            np.zeros(len(labels), np.int64),
        )
        rows.append(state.update(file.batch(i, i + 1), known).matrix[0])
        labels = []
    return np.array(rows)


@pytest.mark.parametrize("chunk", [1, 7, 65_536])
def test_features_equal_those_of_a_stream_read_one_by_one(file: EventFile, chunk: int) -> None:
    expected = one_by_one(file)
    assert (np.nan_to_num(expected[:, PLAN.names.index("risk")]) > 0).sum() > 100
    rows = list(compute_features(file, PLAN, DELAY_MS, chunk=chunk))
    np.testing.assert_array_equal(np.concatenate([each.matrix for each in rows]), expected)
    assert [i for each in rows for i in each.events.ids] == file.events.ids
    np.testing.assert_array_equal(np.concatenate([each.labels for each in rows]), file.labels)


def test_a_span_has_its_history_and_nothing_of_what_follows(file: EventFile) -> None:
    everything = np.concatenate([r.matrix for r in compute_features(file, PLAN, DELAY_MS)])
    start, stop = file.span(200_000, 400_000)
    assert 0 < start < stop < len(file)
    seen: list[tuple[int, int]] = []
    rows = list(
        compute_features(
            file,
            PLAN,
            DELAY_MS,
            200_000,
            400_000,
            chunk=64,
            progress=lambda done, total: seen.append((done, total)),
        )
    )
    np.testing.assert_array_equal(
        np.concatenate([each.matrix for each in rows]), everything[start:stop]
    )
    assert [i for r in rows for i in r.events.ids] == file.events.ids[start:stop]
    assert seen[-1] == (stop, stop)
    assert [done for done, _ in seen] == [*range(64, stop, 64), stop]


def test_training_matrix_holds_the_labelled_events_as_serving_sees_them(file: EventFile) -> None:
    assert file.labels is not None
    everything = np.concatenate([r.matrix for r in compute_features(file, PLAN, DELAY_MS)])
    start, stop = file.span(100_000, 500_000)
    wanted = start + np.flatnonzero(file.labels[start:stop] >= 0)
    training = training_matrix(file, PLAN, DELAY_MS, 100_000, 500_000)
    assert training.matrix.dtype == np.float32
    np.testing.assert_array_equal(training.matrix, everything[wanted].astype(np.float32))
    np.testing.assert_array_equal(training.labels, file.labels[wanted])
    np.testing.assert_array_equal(training.times, file.times[wanted])
    assert set(training.labels.tolist()) == {0, 1}


@pytest.mark.parametrize("as_served", [True, False])
def test_written_features(file: EventFile, tmp_path: Path, as_served: bool) -> None:
    path = tmp_path / "features.parquet"
    count = write_features(path, file, PLAN, DELAY_MS, 100_000, as_served=as_served)
    written = pq.read_table(path)
    start, _ = file.span(100_000)
    matrix = np.concatenate([r.matrix for r in compute_features(file, PLAN, DELAY_MS, 100_000)])
    matrix = matrix.astype(np.float32 if as_served else np.float64)
    assert written.column_names == ["id", "at", *PLAN.names, "fraud"]
    assert count == written.num_rows == len(file) - start
    assert written["id"].to_pylist() == file.events.ids[start:]
    assert written["at"].type == pa.timestamp("ms", "UTC")
    assert written["at"].cast(pa.int64()).to_pylist() == file.times[start:].tolist()
    for column, name in enumerate(PLAN.names):
        values = written[name].to_numpy()
        assert values.dtype == matrix.dtype
        np.testing.assert_array_equal(values, matrix[:, column])
    assert file.labels is not None
    np.testing.assert_array_equal(written["fraud"].fill_null(-1), file.labels[start:])
    metadata = written.schema.metadata
    assert metadata[b"weir.feature_schema_hash"].decode() == PLAN.schema_hash
    assert metadata[b"weir.events_sha256"].decode() == file.sha256
    assert metadata[b"weir.label_delay_ms"] == b"30000"
    counts = pq.read_metadata(path).metadata
    assert (counts[b"weir.late_events"], counts[b"weir.approximate_events"]) == (b"0", b"0")

    write_features(path, file, PLAN, DELAY_MS, with_labels=False)
    assert pq.read_schema(path).names == ["id", "at", *PLAN.names]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events.parquet", "features.parquet"]


def test_what_failed_leaves_the_file_that_was_there(file: EventFile, tmp_path: Path) -> None:
    path = tmp_path / "features.parquet"
    path.write_text("before")

    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_features(path, file, PLAN, DELAY_MS, progress=fail)
    assert path.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events.parquet", "features.parquet"]


@pytest.mark.parametrize("name", ["id", "at", "fraud"])
def test_a_feature_named_as_another_column_is_refused(
    file: EventFile, tmp_path: Path, name: str
) -> None:
    plan = plan_of([{"name": name, "kind": "field", "field": "amount"}])
    with pytest.raises(ValueError, match=f"'{name}' is also the name of the .* column"):
        write_features(tmp_path / "f.parquet", file, plan, DELAY_MS)


def test_a_feature_that_would_see_labels_too_early_is_refused(file: EventFile) -> None:
    check_label_delays(PLAN, 30_000)
    with pytest.raises(ValueError, match=r"'risk' has delay = '30s', but labels.delay is '31s'"):
        check_label_delays(PLAN, 31_000)
    with pytest.raises(ValueError, match=r"Set its delay to '30001ms' or more"):
        compute_features(file, PLAN, 30_001)
    check_label_delays(plan_of(DECLARATIONS[:-1]), 10**12)


def test_label_features_need_labels(file: EventFile) -> None:
    unlabelled = open_events(file.path, CONTRACT)
    with pytest.raises(ValueError, match=r"labels\.field"):
        compute_features(unlabelled, PLAN, DELAY_MS)
    with pytest.raises(ValueError, match=r"labels\.field"):
        training_matrix(unlabelled, PLAN, DELAY_MS)
    plan = plan_of(DECLARATIONS[:-1])
    rows = next(iter(compute_features(unlabelled, plan, DELAY_MS)))
    assert set(rows.labels.tolist()) == {-1}


def test_repeats_are_left_out_as_the_stream_would(table: pa.Table, tmp_path: Path) -> None:
    """The same id within the time is a repeat whatever it says; without the setting it is not."""
    once = CONTRACT.model_copy(update={"deduplicate": 60_000})
    times = np.array(table["at"])
    again = table.slice(0, 200).set_column(
        table.column_names.index("at"), "at", pa.array(times[:200] + 60_000)
    )
    later = table.slice(200, 100).set_column(
        table.column_names.index("at"), "at", pa.array(times[200:300] + 60_001)
    )
    pq.write_table(pa.concat_tables([table, again, later]), tmp_path / "repeated.parquet")
    pq.write_table(pa.concat_tables([table, later]), tmp_path / "clean.parquet")
    repeated = open_events(tmp_path / "repeated.parquet", once, "fraud")
    clean = open_events(tmp_path / "clean.parquet", CONTRACT, "fraud")
    assert without_repeats(clean) is clean
    ours, wanted = (training_matrix(file, PLAN, DELAY_MS) for file in (repeated, clean))
    np.testing.assert_array_equal(ours.matrix, wanted.matrix)
    np.testing.assert_array_equal(ours.labels, wanted.labels)
    np.testing.assert_array_equal(ours.times, wanted.times)
    rows = [
        write_features(tmp_path / f"{n}.parquet", file, PLAN, DELAY_MS)
        for n, file in enumerate((repeated, clean))
    ]
    assert rows == [700, 700]
    for name in (*PLAN.names, "id", "at", "fraud"):
        columns = [pq.read_table(tmp_path / f"{n}.parquet")[name].to_numpy() for n in (0, 1)]
        np.testing.assert_array_equal(*columns)
    assert without_repeats(repeated).repeats == 200
    assert without_repeats(open_events(tmp_path / "clean.parquet", once)).repeats == 0
    taken = open_events(tmp_path / "repeated.parquet", CONTRACT, "fraud")
    assert len(training_matrix(taken, PLAN, DELAY_MS).labels) > len(wanted.labels)


@pytest.mark.slow
def test_the_handbooks_features(shared_data: Path) -> None:
    settings = tomllib.loads(HANDBOOK.read_text())
    contract = EventContract.model_validate(settings["event"])
    plan = plan_of(settings["features"], contract)
    folder = shared_data / "handbook"
    golden = pq.read_table(folder / "golden_features_2018-07-25_2018-08-14.parquet")
    assert ["TRANSACTION_ID", *plan.names] == golden.column_names
    file = open_events(folder / "transactions.parquet", contract, settings["labels"]["field"])
    start, stop = (
        int(np.datetime64(day, "ms").astype(int)) for day in ("2018-07-25", "2018-08-15")
    )
    rows = list(compute_features(file, plan, 7 * 86_400_000, start, stop))
    ids = [i for each in rows for i in each.events.ids]
    assert ids == golden["TRANSACTION_ID"].to_pylist()
    matrix = np.concatenate([each.matrix for each in rows])
    for column, name in enumerate(plan.names):
        np.testing.assert_allclose(
            matrix[:, column], golden[name].to_numpy(), rtol=0, atol=1e-6, err_msg=name
        )
