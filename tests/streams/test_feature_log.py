"""Feature log records: what goes in comes out, to the bit."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from streams.events.contract import FieldType
from streams.feature_log import (
    CHAMPION_ARM,
    Arm,
    FeatureLogWriter,
    ScoredEvents,
    feature_matrix,
    feature_names,
    read_feature_log,
)

NAMES = ("amount", "count of größe", "ratio")
DECISIONS = ("approve", "review", "decline")
METADATA = {"model": "abc", "policy": "1"}
ARMS = [Arm(CHAMPION_ARM, "abc"), Arm("canary", "def")]
FLOAT32 = st.floats(width=32, allow_nan=True, allow_infinity=True)


def writer(id_type: pa.DataType = pa.int64(), names: tuple[str, ...] = NAMES) -> FeatureLogWriter:
    include: dict[str, FieldType] = {"country": "string", "items": "int", "online": "bool"}
    return FeatureLogWriter(
        names, id_type, pa.string(), DECISIONS, METADATA, arms=ARMS, include=include
    )


def events_of(features: np.ndarray, ids: list[int] | list[str] | None = None) -> ScoredEvents:
    n = len(features)
    return ScoredEvents(
        ids=list(range(n)) if ids is None else ids,
        keys=[f"k{i % 3}" for i in range(n)],
        times=1_600_000_000_000 - 1_000 * np.arange(n),
        offsets=2**40 + 3 * np.arange(n),
        features=features,
        score=np.linspace(0, 1, n, dtype=np.float32),
        probability=np.linspace(1, 0, n, dtype=np.float32),
        anomaly=np.full(n, np.nan, np.float32),
        decision=(np.arange(n) % 3).astype(np.int8),
        late=np.arange(n) % 4 == 0,
        approximate=np.arange(n) % 5 == 1,
        fallback=np.arange(n) % 7 == 2,
        arm=(np.arange(n) % 2).astype(np.int8),
        share=np.where(np.arange(n) % 2, np.float32(0.05), np.float32(0.95)),
        propensity=np.linspace(0.2, 1, n, dtype=np.float32),
        context={
            "country": [(None, "FI", "Å" * 300)[i % 3] for i in range(n)],
            "items": [(None, 2**60 + 1)[i % 2] for i in range(n)],
            "online": [(True, False, None)[i % 3] for i in range(n)],
        },
    )


@settings(deadline=None)
@given(arrays.arrays(np.float32, st.tuples(st.integers(0, 40), st.just(3)), elements=FLOAT32))
def test_a_record_holds_every_bit(features: np.ndarray) -> None:
    events = events_of(features)
    table = read_feature_log(writer().encode(events))
    assert table.num_rows == len(features)
    assert feature_matrix(table).dtype == np.float32
    assert feature_matrix(table).shape == features.shape
    assert feature_matrix(table).tobytes() == features.tobytes()
    assert feature_names(table) == list(NAMES)
    assert table["event_id"].to_pylist() == events.ids
    assert table["key"].to_pylist() == events.keys
    assert table["event_time"].cast(pa.int64()).to_pylist() == events.times.tolist()
    assert table["offset"].to_pylist() == events.offsets.tolist()
    assert table["decision"].to_pylist() == [DECISIONS[code] for code in events.decision]
    assert table["late"].to_pylist() == events.late.tolist()
    assert table["approximate"].to_pylist() == events.approximate.tolist()
    assert table["fallback"].to_pylist() == events.fallback.tolist()
    assert table["arm"].to_pylist() == [ARMS[code].name for code in events.arm]
    assert table["model"].to_pylist() == [ARMS[code].model for code in events.arm]
    context = pa.Table.from_struct_array(table["context"])
    assert context["items"].to_pylist() == events.context["items"]
    assert context["online"].to_pylist() == events.context["online"]
    assert context["country"].to_pylist() == [
        each and each[:256] for each in events.context["country"]
    ]
    for name in ("score", "probability", "anomaly", "share", "propensity"):
        assert table[name].to_numpy().tobytes() == getattr(events, name).tobytes()


def test_the_schema_says_what_it_is_about() -> None:
    schema = read_feature_log(writer().encode(events_of(np.zeros((2, 3), np.float32)))).schema
    assert str(schema.field("event_time").type) == "timestamp[ms, tz=UTC]"
    assert schema.field("features").type == pa.list_(pa.float32(), 3)
    assert not any(field.nullable for field in schema)
    metadata = {name.decode(): value.decode() for name, value in schema.metadata.items()}
    assert metadata["weir.format"] == "4"
    assert (metadata["weir.model"], metadata["weir.policy"]) == ("abc", "1")


def test_ids_may_be_text_and_features_any_slice() -> None:
    wide = np.arange(24, dtype=np.float32).reshape(4, 6)
    for features in (wide[:, ::2], np.asfortranarray(wide[:, :3]), wide[::-1, 3:]):
        events = events_of(features, ids=["a", "ü", "", "d"])
        table = read_feature_log(writer(pa.string()).encode(events))
        np.testing.assert_array_equal(feature_matrix(table), features)
        assert table["event_id"].to_pylist() == ["a", "ü", "", "d"]


def test_tables_of_several_records_are_one_matrix() -> None:
    features = np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
    parts = [read_feature_log(writer().encode(events_of(part))) for part in np.split(features, 3)]
    np.testing.assert_array_equal(feature_matrix(pa.concat_tables(parts)), features)


@pytest.mark.parametrize("value", [b"", b"noise", b"\xff" * 64], ids=len)
def test_other_bytes_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="not a feature log record"):
        read_feature_log(value)


def test_a_record_that_was_cut_is_refused() -> None:
    value = writer().encode(events_of(np.ones((50, 3), np.float32)))
    for length in (10, 200, len(value) - 200):
        with pytest.raises(ValueError, match="not a feature log record"):
            read_feature_log(value[:length])


def test_a_record_from_before_there_were_arms_is_read_as_that_of_one_model() -> None:
    table = read_feature_log(writer().encode(events_of(np.ones((3, 3), np.float32))))
    before = table.drop_columns(["model", "arm", "share", "propensity", "context"])
    metadata = dict(before.schema.metadata) | {b"weir.format": b"3"}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, before.schema.with_metadata(metadata)) as stream:
        stream.write_table(before.replace_schema_metadata(metadata))
    read = read_feature_log(sink.getvalue().to_pybytes())
    assert read["model"].to_pylist() == ["abc"] * 3
    assert read["arm"].to_pylist() == [CHAMPION_ARM] * 3
    assert read["share"].to_pylist() == read["propensity"].to_pylist() == [1.0] * 3
    assert read["context"].to_pylist() == [{}] * 3
    assert read["score"].to_pylist() == table["score"].to_pylist()


def test_a_record_of_another_format_is_refused_by_its_number() -> None:
    table = read_feature_log(writer().encode(events_of(np.ones((2, 3), np.float32))))
    for metadata, version in (({"weir.format": "1"}, "1"), ({}, r"\?")):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema.with_metadata(metadata)) as stream:
            stream.write_table(table.replace_schema_metadata(metadata))
        with pytest.raises(
            ValueError, match=f"format {version}: this program reads formats 3 and 4"
        ):
            read_feature_log(sink.getvalue().to_pybytes())
