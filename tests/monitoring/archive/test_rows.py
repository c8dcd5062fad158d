"""What is no record of its topic is rejected alone, and its neighbours are rows."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from monitored import NAMES, T0, records, rows

from monitoring.archive.rows import Kinds, event_rows, label_rows, score_rows
from streams.events.contract import EventContract, Field
from streams.events.json_decoder import Decoder
from streams.events.labels import label_contract
from streams.feature_log import read_feature_log

KINDS = Kinds(pa.int64(), pa.string())
SCORE: dict[str, Any] = {
    "event_id": 7,
    "key": "card 1",
    "event_time": T0,
    "score": 0.5,
    "probability": 0.25,
    "anomaly": None,
    "decision": "review",
    "model": "abc123",
    "policy": "p1",
    "feature_schema": "f" * 12,
    "arrived": T0 + 5,
    "timings": dict.fromkeys(("scored", "batch", "decode_us", "features_us", "inference_us"), 1),
}
BAD = [
    b"",
    b"\xff\xfe",
    b"[]",
    b"{}",
    json.dumps(SCORE | {"event_id": "seven"}).encode(),
    json.dumps(SCORE | {"key": 7}).encode(),
    json.dumps(SCORE | {"event_time": 10**18}).encode(),
    json.dumps(SCORE | {"score": "NaN"}).encode(),
]


class Sent:
    """A record as Kafka hands it out."""

    def __init__(
        self, value: bytes | None, offset: int, headers: list[tuple[str, bytes]] | None = None
    ) -> None:
        self._value, self._offset, self._headers = value, offset, headers

    def value(self) -> bytes | None:
        return self._value

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, T0

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._headers


def sent(*values: bytes | None) -> list[Any]:
    return [Sent(value, place) for place, value in enumerate(values)]


def _by_policy(record: bytes) -> bytes:
    """The same record with what a scorer says of all its rows."""
    table = read_feature_log(record)
    more = {"weir.policy": "p1", "weir.feature_schema": "f" * 12}
    schema = table.schema.with_metadata({**table.schema.metadata, **more})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table.cast(schema))
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_score_is_rejected_alone(bad: bytes) -> None:
    good = json.dumps(SCORE).encode()
    found = score_rows(sent(good, bad, good), KINDS)
    assert found.table is not None
    assert found.table["offset"].to_pylist() == [0, 2]
    assert found.table["anomaly"].to_pylist() == [None, None]
    assert [message.offset() for message, _ in found.rejected] == [1]


def test_events_are_rows_to_the_bit_beside_a_bad_record() -> None:
    values = rows(np.random.default_rng(1), 40)
    values[3, 0] = np.nan
    good = [_by_policy(each.data) for each in records(values, keys=["card 1", "card 2"])]
    cut = good[0][: len(good[0]) // 2]
    nobodys = records(values)[0].data  # it does not say by which policy
    found = event_rows(sent(b"", *good, cut, nobodys), KINDS)
    assert found.table is not None
    assert found.table["policy"].unique().to_pylist() == ["p1"]
    assert [message.offset() for message, _ in found.rejected] == [0, 3, 4]
    assert event_rows(sent(*good), Kinds(pa.string(), pa.string())).table is None
    columns = found.table["features"].combine_chunks().flatten()
    for place, name in enumerate(NAMES):
        at = [each.name for each in found.table.schema.field("features").type].index(name)
        kept = columns[at].to_numpy(zero_copy_only=False)
        assert kept.tobytes() == np.ascontiguousarray(values[:, place]).tobytes()


def test_labels_and_their_progress_are_rows() -> None:
    contract = EventContract(
        id="id",
        time="at",
        key="card",
        fields={"id": Field(type="int"), "card": Field(type="string")},
    )
    label = json.dumps({"event_id": 7, "label": 1, "time": T0}).encode()
    messages = sent(b"garbage", label, None)
    messages.append(Sent(None, 3, [("weir.progress", str(T0 + 1).encode())]))
    messages.append(Sent(label, 4, [("weir.label.by", b"ann"), ("weir.label.note", b"seen it")]))
    found = label_rows(messages, KINDS, Decoder(label_contract(contract)))
    assert found.table is not None
    assert found.table["event_id"].to_pylist() == [7, 7, None]
    assert found.table["offset"].to_pylist() == [1, 4, 3]
    assert found.table["by"].to_pylist() == [None, "ann", None]
    assert sorted(message.offset() for message, _ in found.rejected) == [0, 2]
