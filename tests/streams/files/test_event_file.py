"""Files of events: the same rows are events in a file and on the stream."""

import csv
import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events.contract import EventContract, Field
from streams.events.json_decoder import Decoder
from streams.events.rejection import Reason
from streams.files.event_file import EventFile, EventFileError, open_events

NOW = 1_700_000_000_000
CONTRACT = EventContract(
    id="id",
    time="at",
    key="card",
    min_time="0001-01-01",
    fields={
        "id": Field(type="int"),
        "card": Field(type="string", max_length=6),
        "amount": Field(type="float", min=0, max=1000),
        "terminal": Field(type="int", required=False, min=-5, max=99),
        "online": Field(type="bool", required=False),
    },
)
Write = Callable[[dict[str, Any]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_parquet(columns: dict[str, Any]) -> Path:
        path = tmp_path / "events.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return write_parquet


def columns(n: int = 3, **changed: Any) -> dict[str, Any]:
    return {
        "id": list(range(n)),
        "at": [1000 * i for i in range(n)],
        "card": [f"c{i}" for i in range(n)],
        "amount": [1.5 * i for i in range(n)],
        "terminal": [7] * n,
        "online": [True] * n,
        **changed,
    }


def opened(path: Path, label: str | None = None, contract: EventContract = CONTRACT) -> EventFile:
    return open_events(path, contract, label, now_ms=NOW)


def test_columns_and_slices(write: Write) -> None:
    path = write(columns(terminal=[7, None, 9], online=[None, True, False], extra=[1, 2, 3]))
    file = opened(path)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (len(file), file.rejected, file.labels, file.absent) == (3, (), None, ())
    batch = file.batch(1, 3)
    assert (batch.ids, batch.keys, batch.times.tolist()) == ([1, 2], ["c1", "c2"], [1000, 2000])
    assert batch.values("terminal") == [None, 9]
    assert batch.values("online") == [True, False]
    assert file.events.values("online") == [None, True, False]
    assert [type(value) for value in batch.values("terminal")] == [type(None), int]
    np.testing.assert_array_equal(batch.numbers("terminal"), [np.nan, 9])
    np.testing.assert_array_equal(file.events.numbers("online"), [np.nan, 1, 0])
    turned = batch.take(np.array([1, 0]))
    assert (turned.ids, turned.times.tolist()) == ([2, 1], [2000, 1000])
    with pytest.raises(TypeError, match="'card' is a string"):
        batch.numbers("card")
    with pytest.raises(KeyError, match="'extra' is not among"):
        batch.values("extra")


def test_rows_are_sorted_by_time_and_id(write: Write) -> None:
    file = opened(
        write(columns(4, id=[10, 9, 3, 2], at=[5, 5, 9, 1], is_fraud=[1, 0, None, 1])), "is_fraud"
    )
    assert file.events.ids == [2, 9, 10, 3]
    assert file.events.keys == ["c3", "c1", "c0", "c2"]
    assert file.labels is not None
    assert file.labels.tolist() == [1, 0, 1, -1]
    assert file.span(5, 9) == (1, 3)
    assert file.span() == (0, 4)
    assert file.span(100, 7) == (4, 4)


def test_text_ids_are_sorted_by_code_point_and_equal_ones_keep_their_order(write: Write) -> None:
    contract = EventContract(
        id="id",
        time="at",
        key="id",
        min_time="0001-01-01",
        fields={"id": Field(type="string"), "n": Field(type="int")},
    )
    ids = ["b", "\U0001f600", "10", "", "b", "a", "9"]
    file = opened(write({"id": ids, "at": [0] * 7, "n": list(range(7))}), contract=contract)
    assert file.events.ids == sorted(ids)
    assert file.events.values("n") == [3, 2, 6, 5, 0, 4, 1]


@pytest.mark.parametrize(
    ("time_format", "times"),
    [
        ("ms", [-1, 1_600_000_000_123]),
        ("us", [-1, 1_600_000_000_123_999]),
        ("iso", ["1969-12-31T23:59:59.999Z", "2020-09-13T14:26:40.123999+02:00"]),
        ("ms", ["1969-12-31 23:59:59.999", "2020-09-13T12:26:40.123"]),
        ("ms", ["1969-12-31 23:59:59.999", "2020-09-13T12:26:40.123Z"]),
        ("ms", ["-1", "1600000000123"]),
        ("iso", pa.array([-1, 1_600_000_000_123_456], pa.timestamp("us"))),
        ("us", pa.array([-1, 1_600_000_000_123_456_789], pa.timestamp("ns", "Asia/Tokyo"))),
        ("ms", pa.array([-1, 1_600_000_000_123], pa.timestamp("ms", "UTC"))),
    ],
)
def test_times_of_every_kind(write: Write, time_format: Any, times: Any) -> None:
    contract = CONTRACT.model_copy(update={"time_format": time_format})
    file = opened(write(columns(2, at=times)), contract=contract)
    assert file.times.tolist() == [-1, 1_600_000_000_123]


def test_seconds_hold_what_an_event_in_seconds_can_carry(write: Write) -> None:
    contract = CONTRACT.model_copy(update={"time_format": "s"})
    assert opened(write(columns(2, at=[-1, 7])), contract=contract).times.tolist() == [-1000, 7000]
    at = pa.array([-1, 1999], pa.timestamp("ms"))
    assert opened(write(columns(2, at=at)), contract=contract).times.tolist() == [-1000, 1000]
    dates = pa.array([-1, 1], pa.date32())
    day = 86_400_000
    assert opened(write(columns(2, at=dates))).times.tolist() == [-day, day]


def test_rejected_rows_are_counted_by_their_first_fault(write: Write) -> None:
    n = 12
    path = write(
        columns(
            n,
            at=[None, NOW + 300_001, 10**17, *range(9)],
            id=[None, 1, 2, None, *range(4, n)],
            card=["x"] * 4 + [None, "toolong", "naïve\u00e9", *"gfedc"],
            amount=[1.0] * 7 + [np.nan, np.inf, -0.1, 1000.5, 1000.0],
        )
    )
    file = opened(path)
    assert [(r.reason, r.field, r.count, r.rows) for r in file.rejected] == [
        (Reason.NULL_FIELD, "at", 1, (1,)),
        (Reason.BAD_TIME, "at", 1, (3,)),
        (Reason.FROM_THE_FUTURE, "at", 1, (2,)),
        (Reason.NULL_FIELD, "id", 1, (4,)),
        (Reason.NULL_FIELD, "card", 1, (5,)),
        (Reason.TOO_LONG, "card", 1, (6,)),
        (Reason.NOT_A_NUMBER, "amount", 1, (8,)),
        (Reason.INFINITE, "amount", 1, (9,)),
        (Reason.OUT_OF_BOUNDS, "amount", 2, (10, 11)),
    ]
    assert file.events.ids == [6, 11]
    assert file.rows_rejected == 10
    assert str(file.rejected[-1]) == (
        "2 rows left out: out_of_bounds in 'amount' (rows 10, 11); "
        "row 10: 'amount' = -0.1 is below min = 0"
    )


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "at": st.sampled_from([None, 0, 5, 6, NOW + 300_000, NOW + 300_001, 2**62, -(2**62)]),
    "id": st.sampled_from([None, 1, 2, 2**63 - 1, -(2**63)]),
    "card": st.sampled_from([None, "", "a", "b" * 6, "b" * 7, "\U0001f600" * 6]),
    "amount": st.sampled_from([None, 0.0, -0.0, 1e-9, 1000.0, 1000.1, -1e-9, np.nan, -np.inf]),
    "terminal": st.sampled_from([None, -6, -5, 99, 100]),
    "online": st.sampled_from([None, True, False]),
}
KINDS = {
    "at": pa.int64(),
    "id": pa.int64(),
    "card": pa.string(),
    "amount": pa.float64(),
    "terminal": pa.int32(),
    "online": pa.bool_(),
}


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=30))
def test_a_file_and_the_stream_reject_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    # As a producer writes it that knows no better than to send NaN.
    values = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    decoded = Decoder(CONTRACT, lambda: NOW).decode(values)
    path = tmp_path_factory.mktemp("files") / "events.parquet"
    pq.write_table(
        pa.table(
            {
                name: pa.array([row[name] for row in rows], kind, from_pandas=False)
                for name, kind in KINDS.items()
            }
        ),
        path,
    )
    faults: dict[tuple[Reason, str | None], int] = {}
    for bad in decoded.rejected:
        faults[bad.reason, bad.field] = faults.get((bad.reason, bad.field), 0) + 1
    if not len(decoded.events):
        with pytest.raises(EventFileError, match="no row is an event"):
            opened(path)
        return
    file = opened(path)
    assert {(r.reason, r.field): r.count for r in file.rejected} == faults
    records = zip(decoded.events.times.tolist(), decoded.events.ids, strict=True)
    order = [i for _, i in sorted((pair, i) for i, pair in enumerate(records))]
    events = decoded.events.take(np.array(order, np.intp))
    assert file.times.tolist() == events.times.tolist()
    for name in CONTRACT.fields:
        assert file.events.values(name) == events.values(name)
        if name != "card":
            np.testing.assert_array_equal(file.events.numbers(name), events.numbers(name))


def test_csv_equals_parquet_whatever_its_rows_start_with(tmp_path: Path, write: Write) -> None:
    rows = columns(
        4,
        card=["007", "", 'a"b', "line\nö"],
        amount=[0.1, 1e-7, 123.0, 2.5],
        terminal=[None, None, 3, -4],
        online=[None, True, False, None],
        is_fraud=[0, 1, None, 0],
    )
    path = tmp_path / "events.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8-sig", newline="") as stream:
        out = csv.writer(stream, quoting=csv.QUOTE_NOTNULL if hasattr(csv, "QUOTE_NOTNULL") else 0)
        out.writerow(rows)
        for row in zip(*rows.values(), strict=True):
            out.writerow(row)
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(text.replace("1,1000,,", '1,1000,"",').encode()))
    from_csv, from_parquet = opened(path, "is_fraud"), opened(write(rows), "is_fraud")
    assert from_csv.rejected == ()
    assert from_csv.times.tolist() == from_parquet.times.tolist()
    for name in CONTRACT.fields:
        assert from_csv.events.column(name).equals(from_parquet.events.column(name)), name
    np.testing.assert_array_equal(from_csv.labels, from_parquet.labels)


def test_a_bad_cell_of_a_csv_costs_its_row_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "id,at,card,amount,terminal,online\n"
        "1,2020-01-01T00:00:00Z,a,1.5,7.0,True\n"
        "2,2020-01-01 01:00:00+01:00,b,2,,0\n"
        "3,yesterday,c,3,,\n"
        "x,2020-01-01,d,4,,\n"
        "99999999999999999999,2020-01-01,e,5,,\n"
        "6,2020-01-01,f,1_0,,\n"
        "7,2020-01-01,g,NaN,,\n"
        "8,2020-01-01,h,8,7.5,\n"
        "9,2020-01-01,i,9,8,maybe\n"
        "10,2020-01-01,,10,8,\n"
    )
    file = opened(path)
    assert file.events.ids == [1, 2]
    assert file.times.tolist() == [_ms(2020), _ms(2020)]
    assert file.events.values("terminal") == [7, None]
    assert file.events.values("online") == [True, False]
    assert [(r.reason, r.field, r.rows) for r in file.rejected] == [
        (Reason.BAD_TIME, "at", (3,)),
        (Reason.WRONG_TYPE, "id", (4,)),
        (Reason.OUT_OF_BOUNDS, "id", (5,)),
        (Reason.NULL_FIELD, "card", (10,)),
        (Reason.WRONG_TYPE, "amount", (6,)),
        (Reason.NOT_A_NUMBER, "amount", (7,)),
        (Reason.WRONG_TYPE, "terminal", (8,)),
        (Reason.WRONG_TYPE, "online", (9,)),
    ]


def _ms(year: int) -> int:
    return round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)


def test_types_that_tools_write_for_what_was_meant(write: Write) -> None:
    path = write(
        columns(
            id=pa.array([1, 2, 2**63], pa.uint64()),
            terminal=pa.array([1.0, None, 2.0]),
            online=pa.array([1, 0, None], pa.int8()),
            card=pa.array(["a", "b", "a"]).dictionary_encode(),
            amount=pa.array([1, 2, 3], pa.decimal128(9, 2)),
        )
    )
    file = opened(path)
    assert [(r.reason, r.field) for r in file.rejected] == [(Reason.OUT_OF_BOUNDS, "id")]
    assert file.events.values("terminal") == [1, None]
    assert file.events.values("online") == [True, False]
    assert file.events.keys == ["a", "b"]
    assert file.events.values("amount") == [1.0, 2.0]
    halves = opened(write(columns(terminal=[1.0, 1.5, np.nan])))
    assert [(r.reason, r.rows) for r in halves.rejected] == [
        (Reason.WRONG_TYPE, (2,)),
        (Reason.NOT_A_NUMBER, (3,)),
    ]


IDS = [4873214862074861312 + i for i in range(4)]


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(IDS),
        pa.array(IDS, pa.uint64()),
        pa.array(map(Decimal, IDS), pa.decimal128(19, 0)),
        pa.array(map(Decimal, IDS), pa.decimal128(38, 2)),
        pa.array(map(Decimal, IDS), pa.decimal256(76, 0)),
        pa.array(map(str, IDS)),
        pa.array([f"{i}.0" for i in IDS]),
    ],
)
def test_ids_beyond_2_to_the_53_keep_all_their_digits(write: Write, ids: Any) -> None:
    file = opened(write(columns(4, id=ids)))
    assert (file.rejected, file.events.ids) == ((), IDS)


@pytest.mark.parametrize("ids", [[float(i) for i in IDS], [f"{i:.5E}" for i in IDS]])
def test_ids_that_lost_digits_are_refused(write: Write, ids: Any) -> None:
    message = r"not_exact in 'id' \(rows 1, 2, 3, 4\); row 1: 'id' = '?4\.87.*: write "
    with pytest.raises(EventFileError, match=message):
        opened(write(columns(4, id=ids)))


def test_decimals_are_the_nearest_double(write: Write) -> None:
    texts = ["0.1", "0.300", "123456789012345678.901", "-0.001", "0.000"]
    amounts = pa.array(map(Decimal, texts), pa.decimal128(38, 20))
    contract = CONTRACT.model_copy(
        update={"fields": CONTRACT.fields | {"amount": Field(type="float")}}
    )
    file = opened(write(columns(5, amount=amounts)), contract=contract)
    assert file.events.values("amount") == list(map(float, texts))


def test_times_before_the_least_name_the_rows_and_the_unit(write: Write) -> None:
    contract = CONTRACT.model_copy(update={"min_time": 946_684_800_000})
    file = opened(write(columns(3, at=[NOW, NOW // 1000, 720])), contract=contract)
    assert len(file) == 1
    assert str(file.rejected[0]) == (
        "2 rows left out: before_min_time in 'at' (rows 2, 3); row 2: 'at' is "
        "1970-01-20T16:13:20.000Z, before event.min_time = '2000-01-01': it is likely in s, and "
        "event.time_format = 'ms': set event.time_format = 's'"
    )


def test_an_optional_field_may_have_no_column(write: Write) -> None:
    rows = columns()
    del rows["terminal"], rows["online"]
    file = opened(write(rows))
    assert file.absent == ("terminal", "online")
    assert file.events.values("terminal") == [None] * 3
    np.testing.assert_array_equal(file.events.numbers("online"), [np.nan] * 3)


@pytest.mark.parametrize(
    "labels",
    [[True, False, None], [1, 0, None], [1.0, 0.0, None], ["True", "0", None], ["1.0", "0", None]],
)
def test_labels(write: Write, labels: list[Any]) -> None:
    file = opened(write(columns(y=labels)), "y")
    assert file.labels is not None
    assert file.labels.dtype == np.int8
    assert file.labels.tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("changed", "label", "message"),
    [
        ({"y": [1, 2, 0]}, "y", "'y' holds 2 in row 2: labels are 1 or true for fraud"),
        ({"y": [1, -1, 0]}, "y", "'y' holds -1 in row 2"),
        ({"y": ["1", "no", ""]}, "y", "'y' holds 'no' in row 2"),
        ({}, "y", "no column 'y', which labels.field names; it has id, at, card"),
        ({}, "amount", "'amount' is also a field of the event"),
        ({"id": ["a", "b", "c"]}, None, "no row is an event.*wrong_type in 'id'"),
        ({"card": [1, 2, 3]}, None, "'card' is int64, and event.fields declares 'string'"),
        ({"amount": [True] * 3}, None, "'amount' is bool, and event.fields declares 'float'"),
        ({"id": [[1]] * 3}, None, "'id' is list<.*declares 'int'"),
        ({"online": [b"1"] * 3}, None, "'online' is binary, .*declares 'bool'"),
        ({"online": [0.5] * 3}, None, "row 1: 'online' must be true or false, not the number 0.5"),
        ({"at": [0.5] * 3}, None, "row 1: 'at' must be .* set event.time_format = 'ms'"),
        ({"at": [True] * 3}, None, "'at' is bool, and event times are"),
    ],
)
def test_errors_name_the_file_the_column_and_the_fix(
    write: Write, changed: dict[str, Any], label: str | None, message: str
) -> None:
    path = write(columns(**changed))
    with pytest.raises(EventFileError, match=message) as error:
        opened(path, label)
    assert str(error.value).startswith(f"{path}: ")


def test_unreadable_files(tmp_path: Path, write: Write) -> None:
    rows = columns()
    del rows["amount"]
    with pytest.raises(EventFileError, match=r"no column 'amount', which \[event\] names"):
        opened(write(rows))
    with pytest.raises(EventFileError, match=r"'iso': for counts .* set it to 's'"):
        opened(write(columns()), contract=CONTRACT.model_copy(update={"time_format": "iso"}))
    with pytest.raises(EventFileError, match=r"events\.parquet: holds no rows"):
        opened(write({name: pa.array([], kind) for name, kind in KINDS.items()}))
    with pytest.raises(EventFileError, match="No such file"):
        opened(tmp_path / "none.parquet")
    with pytest.raises(EventFileError, match="directory"):
        opened(tmp_path)
    for name, content in (("a.parquet", b"PAR1 or not"), ("b.csv", b""), ("c.csv", b"id\n\xff\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EventFileError, match=name):
            opened(tmp_path / name)
    (tmp_path / "events.json").write_text("{}")
    with pytest.raises(EventFileError, match=r"neither \.parquet nor \.csv"):
        opened(tmp_path / "events.json")
    (tmp_path / "twice.csv").write_text("id,at,card,amount,id\n1,2,c,3,4\n")
    with pytest.raises(EventFileError, match="2 columns named 'id'"):
        opened(tmp_path / "twice.csv")
