"""The same records through every source: each cell the same to the bit, each reason the same.

A *form* is how a value is written: an integer as a number, as text or as a decimal. Every source
that has a form gets the same values in it, and is held against JSON, or where JSON has no such form
against the first that does.
"""

import json
import struct
from collections.abc import Callable
from decimal import Context, Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from framed_records import NOW, OneSchema, avro_schema, frame, message_type

from streams.events.contract import EventContract
from streams.events.json_decoder import Decoder
from streams.files import row_checks
from streams.files.event_file import open_events
from streams.formats.framed import FramedDecoder

Rng = np.random.Generator
Rows = list[dict[str, Any]]
Kinds = dict[str, str]
Outcome = tuple[Any, ...]
"""Time and values of a record, floats as their bits; or the reason and the field at fault."""

FIELDS = {
    "id": {"type": "int"},
    "card": {"type": "string", "max_length": 8},
    "amount": {"type": "float", "required": False, "min": -1e300},
    "count": {"type": "int", "required": False, "min": -(2**62)},
    "online": {"type": "bool", "required": False},
    "row": {"type": "int"},
}
NAMES = ("time", *FIELDS)
FEW, MANY = 200, 10_000
WIDE = Context(prec=80)


def contract(format: str, time_format: str) -> EventContract:
    return EventContract.model_validate(
        {
            "id": "id",
            "time": "time",
            "key": "card",
            "format": format,
            "time_format": time_format,
            "fields": FIELDS,
        }
    )


def whole(rng: Rng) -> int:
    """Of every size up to 2**64, and often at an edge."""
    if rng.random() < 0.4:
        edge = int(rng.choice([0, 53, 62, 63]))
        return int(rng.choice([-1, 1])) * (2**edge + int(rng.integers(-2, 3)))
    return int(rng.integers(-(2**63), 2**63)) >> int(rng.integers(64))


def whole_double(rng: Rng) -> float:
    value = float(whole(rng))
    # From 2^53 to 1e16 Python writes all digits, of which a reader of text can't know better.
    return 1.5 if rng.random() < 0.2 or 2**53 <= abs(value) < 1e16 else value


def whole_single(rng: Rng) -> float:
    return float(int(rng.integers(-(2**24), 2**24)) * int(rng.choice([1] * 9 + [2**60])))


def double(rng: Rng) -> float:
    """Any bits that are a finite number, or a plain amount."""
    if rng.random() < 0.4:
        return float(rng.choice([0.1, -0.0, 0.0, 1e23, 5e-324, 9007199254740993.0, 17.5, -1.5]))
    bits = rng.integers(0, 2**64, dtype=np.uint64)
    value = struct.unpack("d", struct.pack("Q", int(bits)))[0]
    return float(value) if np.isfinite(value) else 2.0


def decimal_text(rng: Rng) -> str:
    """Up to 37 digits, of which some stand behind the point."""
    digits = "".join(map(str, rng.integers(0, 10, int(rng.integers(1, 30)))))
    sign = "-" if rng.random() < 0.3 else ""
    return f"{sign}{digits}.{int(rng.integers(0, 10**8)):08d}"


INTEGER_TEXTS = ("5.0", "5.", "007", "+7", " 7 ", "-0", "1e3", "1.5", "1.23E+18", "", "x", "1_0")
NUMBER_TEXTS = ("1e3", "-0", "+1.5", " 2.5\t", ".5", "5.", "1e-400", "1e999", "NaN", "-inf", "1,5")
BOOLEAN_TEXTS = ("true", "False", "TRUE", "1", "0", "0.0", " true ", "yes", "", "2", "t")
ISO_TEXTS = (
    *("2023-11-05T09:30:00Z", "2023-11-05 09:30:00", "2023-11-05t09:30:00z", "20231105T093000Z"),
    *("2023-11-05T09:30:00,1239Z", "2023-11-05T09:30:00.123999999+00", "2023-11-05T09:30+0530"),
    *("2023-11-05", "2023-11-05T24:00:00Z", "2023-11-05 09:30:00 UTC", "20231105 0930-08"),
    *("2023-11-05T09:30:00.1+14:00", "2023-11-05T09:30:00 +0000", "2023-12-31T24:00"),
    *("2023-02-29", "2023-11-05T24:00:01Z", "2023-11-05T23:59:60Z", "2023-11-05T09", "0000-01-01"),
    *("2023-W45-1", "2023-309", "5.11.2023", "now", "", "2023-11-05T09:30:00+24:00", "1999-12-31"),
    *("2023-11-05T09:30:00+05:60", "9999-12-31T23:59:59-01:00", "2023-1-05", "+2023-11-05"),
    *("0001-01-01T00:00:00+01:00", "2033-11-05", "2023-11-05T09:30:00Zulu"),
)


def iso(rng: Rng) -> str:
    if rng.random() < 0.5:
        return str(rng.choice(ISO_TEXTS))
    moment = np.datetime64(int(rng.integers(9 * 10**17, 17 * 10**17)), "ns")
    text = str(moment.astype(f"datetime64[{rng.choice(['s', 'ms', 'us', 'ns'])}]"))
    return text.replace("T", str(rng.choice(["T", " "]))) + str(
        rng.choice(["", "Z", "+02:00", "-1130", "+05"])
    )


def maybe(of: Callable[[Rng], Any], texts: tuple[str, ...] = ()) -> Callable[[Rng], Any]:
    def draw(rng: Rng) -> Any:
        if rng.random() < 0.1:
            return None
        return str(rng.choice(texts)) if texts and rng.random() < 0.3 else of(rng)

    return draw


VALUES: dict[str, Callable[[Rng], Any]] = {
    "integer": maybe(whole),
    "integer as text": maybe(lambda rng: str(whole(rng)), INTEGER_TEXTS),
    "long": maybe(lambda rng: min(max(whole(rng), -(2**63)), 2**63 - 1)),
    "unsigned": maybe(lambda rng: min(abs(whole(rng)), 2**64 - 1)),
    "integer as double": maybe(whole_double),
    "integer as decimal": maybe(
        lambda rng: Decimal(whole(rng)) + Decimal(str(rng.choice(["0.00000000"] * 9 + ["0.5"])))
    ),
    "single": maybe(whole_single),
    "double": maybe(double),
    "float": maybe(lambda rng: float(np.float32(rng.normal() * 10.0 ** rng.integers(-30, 30)))),
    "number as text": maybe(decimal_text, NUMBER_TEXTS),
    "number as decimal": maybe(lambda rng: Decimal(decimal_text(rng))),
    "boolean": maybe(lambda rng: bool(rng.integers(2))),
    "boolean as number": maybe(lambda rng: int(rng.integers(-1, 3))),
    "boolean as text": maybe(lambda rng: "true", BOOLEAN_TEXTS),
    "text": maybe(lambda rng: str(rng.choice(["00123", "1e5", "", " x ", "ä€😀", "123456789"]))),
    "count": maybe(
        lambda rng: int(rng.integers(-(10**9), NOW // 500)) // int(rng.choice([1, 1, 1000]))
    ),
    "time as text": maybe(iso, (str(NOW), "1699999999.0", "1.5", "1e3", "1700000000")),
}
CALM: dict[str, Callable[[Rng], Any]] = {
    "long": lambda rng: int(rng.integers(-(2**62), 2**62)),
    "unsigned": lambda rng: int(rng.integers(0, 2**62)),
    "integer": lambda rng: int(rng.integers(-(2**62), 2**62)),
    "integer as text": lambda rng: str(rng.integers(-(2**62), 2**62)),
    "integer as double": lambda rng: float(rng.integers(-(2**53), 2**53)),
    "integer as decimal": lambda rng: Decimal(f"{rng.integers(-(2**62), 2**62)}.00000000"),
    "number as text": decimal_text,
    "boolean as number": lambda rng: int(rng.integers(2)),
    "boolean as text": lambda rng: str(rng.choice(["true", "False", "0", "1"])),
    "text": lambda rng: str(rng.choice(["00123", "1e5", "", " x ", "ä€😀"])),
    "count": lambda rng: int(rng.integers(10**9, NOW // 1000)),
    "time as text": lambda rng: "2023-11-05T09:30:00Z",
}


def drawn(kind: str, rng: Rng) -> Any:
    """Mostly a value that will do, else any."""
    return (VALUES if rng.random() < 0.25 else CALM).get(kind, VALUES[kind])(rng)


ARROW = {
    "single": pa.float32(),
    "long": pa.int64(),
    "unsigned": pa.uint64(),
    "row": pa.int64(),
    "integer": pa.decimal128(38, 0),
    "integer as double": pa.float64(),
    "integer as decimal": pa.decimal128(38, 8),
    "double": pa.float64(),
    "float": pa.float32(),
    "number as decimal": pa.decimal256(50, 8),
    "boolean": pa.bool_(),
    "boolean as number": pa.int8(),
    "count": pa.int64(),
}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 8}
AVRO = {
    "single": "float",
    "long": "long",
    "unsigned": {**DECIMAL, "scale": 0},
    "row": "long",
    "integer": {**DECIMAL, "scale": 0},
    "integer as double": "double",
    "integer as decimal": DECIMAL,
    "double": "double",
    "float": "float",
    "number as decimal": DECIMAL,
    "boolean": "boolean",
    "boolean as number": "int",
    "count": "long",
}
PROTO = {
    "single": "float",
    "long": "int64",
    "unsigned": "uint64",
    "row": "int64",
    "integer as double": "double",
    "double": "double",
    "float": "float",
    "boolean": "bool",
    "boolean as number": "int32",
    "count": "int64",
}
FORMS: dict[str, dict[str, str]] = {
    "numbers": {
        "time": "count",
        "id": "long",
        "card": "text",
        "amount": "double",
        "count": "integer as double",
        "online": "boolean",
    },
    "unsigned": {
        "time": "count",
        "id": "unsigned",
        "card": "text",
        "amount": "float",
        "count": "single",
        "online": "boolean as number",
    },
    "text": {
        "time": "time as text",
        "id": "integer as text",
        "card": "text",
        "amount": "number as text",
        "count": "integer as text",
        "online": "boolean as text",
    },
    "decimals": {
        "time": "count",
        "id": "integer as decimal",
        "card": "text",
        "amount": "number as decimal",
        "count": "integer",
        "online": "boolean as number",
    },
}


def of_batch(decoder: Decoder, values: list[bytes]) -> list[Outcome]:
    decoded = decoder.decode(values, np.full(len(values), NOW))
    outcomes: list[Any] = [None] * len(values)
    for bad in decoded.rejected:
        outcomes[bad.position] = (bad.reason, bad.field)
    for position, good in zip(decoded.positions.tolist(), cells(decoded.events), strict=True):
        outcomes[position] = good
    return outcomes


def cells(events: Any) -> list[Outcome]:
    columns = [events.times.tolist(), *(events.values(name) for name in FIELDS)]
    bits = [[struct.pack("d", x) if isinstance(x, float) else x for x in each] for each in columns]
    return list(zip(*bits, strict=True))


def as_json(row: dict[str, Any]) -> bytes:
    """A decimal with all its digits, which is how JSON has it."""
    texts = (
        f"{json.dumps(name)}:{f'{value:f}' if isinstance(value, Decimal) else json.dumps(value)}"
        for name, value in row.items()
    )
    return ("{" + ",".join(texts) + "}").encode()


def from_json_schema(rows: Rows, contract: EventContract, kinds: Kinds, folder: Path) -> Any:
    decoder = FramedDecoder(contract, OneSchema("JSON", '{"type":"object"}'))  # type: ignore[arg-type]
    return of_batch(decoder, [frame(1, as_json(row)) for row in rows])


def from_avro(rows: Rows, contract: EventContract, kinds: Kinds, folder: Path) -> Any:
    types = {name: AVRO.get(kinds[name], "string") for name in NAMES}
    plain = avro_schema(
        **{n: ["null", "bytes" if isinstance(k, dict) else k] for n, k in types.items()}
    )
    schema = avro_schema(**{name: ["null", kind] for name, kind in types.items()})
    values = [{name: as_avro(value, types[name]) for name, value in row.items()} for row in rows]
    decoder = FramedDecoder(contract, OneSchema("AVRO", schema))  # type: ignore[arg-type]
    parsed = fastavro.parse_schema(json.loads(plain))
    frames = []
    for value in values:
        stream = BytesIO()
        fastavro.schemaless_writer(stream, parsed, value)
        frames.append(frame(1, stream.getvalue()))
    return of_batch(decoder, frames)


def as_avro(value: Any, kind: Any) -> Any:
    if value is None or not isinstance(kind, dict):
        return value
    unscaled = int(Decimal(value).scaleb(kind["scale"], WIDE))
    return unscaled.to_bytes(24, "big", signed=True)


def from_protobuf(rows: Rows, contract: EventContract, kinds: Kinds, folder: Path) -> Any:
    fields = "".join(
        f"optional {PROTO.get(kinds[name], 'string')} {name} = {i};"
        for i, name in enumerate(NAMES, start=1)
    )
    schema = f'syntax = "proto3"; message Event {{ {fields} }}'
    make = message_type(schema, "Event")
    bodies = [
        make(**{name: value for name, value in row.items() if value is not None}) for row in rows
    ]
    decoder = FramedDecoder(contract, OneSchema("PROTOBUF", schema))  # type: ignore[arg-type]
    frames = [frame(1, b"\0" + body.SerializeToString()) for body in bodies]
    # An unset field is missing there, where another source says null.
    return [
        (each[0].replace("missing", "null"), *each[1:]) if isinstance(each[0], str) else each
        for each in of_batch(decoder, frames)
    ]


def from_parquet(rows: Rows, contract: EventContract, kinds: Kinds, folder: Path) -> Any:
    columns = {
        name: pa.array([row[name] for row in rows], ARROW.get(kinds[name], pa.string()))
        for name in NAMES
    }
    path = folder / "events.parquet"
    pq.write_table(pa.table(columns), path)
    return of_file(path, rows, contract)


def from_csv(rows: Rows, contract: EventContract, kinds: Kinds, folder: Path) -> Any:
    path = folder / "events.csv"
    lines = [",".join(NAMES), *(",".join(as_cell(row[name]) for name in NAMES) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return of_file(path, rows, contract)


def as_cell(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return '"' + value + '"' if isinstance(value, str) else "" if value is None else repr(value)


def of_file(path: Path, rows: Rows, contract: EventContract) -> list[Outcome]:
    file = open_events(path, contract, now_ms=NOW)
    outcomes: list[Any] = [None] * len(rows)
    for bad in file.rejected:
        for row in bad.rows:
            outcomes[row - 1] = (bad.reason, bad.field)
    for good in cells(file.events):
        outcomes[good[-1]] = good
    return outcomes


SOURCES: dict[str, Callable[[Rows, EventContract, Kinds, Path], list[Outcome]]] = {
    "json_schema": from_json_schema,
    "avro": from_avro,
    "protobuf": from_protobuf,
    "parquet": from_parquet,
    "csv": from_csv,
}


@pytest.mark.parametrize("records", [FEW, pytest.param(MANY, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("time_format", ["s", "ms", "us", "iso"])
@pytest.mark.parametrize("form", FORMS)
def test_a_record_is_the_same_from_every_source(
    form: str, time_format: str, records: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_checks, "_ROWS_NAMED", records)
    kinds = FORMS[form] | {"row": "row"}
    if time_format == "iso":
        kinds["time"] = "time as text"
    rng = np.random.default_rng([records, sorted(FORMS).index(form)])
    unit = {"ms": 1_000, "us": 1_000_000}.get(time_format, 1)
    rows = [
        {name: i if name == "row" else drawn(kinds[name], rng) for name in NAMES}
        for i in range(records)
    ]
    for row in rows if kinds["time"] == "count" else ():
        row["time"] = None if row["time"] is None else row["time"] * unit
    want = of_batch(Decoder(contract("json", time_format)), [as_json(row) for row in rows])
    good = sum(len(each) == len(NAMES) for each in want)
    assert 0.02 * records < good < 0.9 * records
    for source, read in SOURCES.items():
        if source == "protobuf" and any(k in ARROW and k not in PROTO for k in kinds.values()):
            continue  # it has no decimals
        format = source if source in ("json_schema", "avro", "protobuf") else "json"
        found = read(rows, contract(format, time_format), kinds, tmp_path)
        wrong = [(source, row, a, b) for row, a, b in zip(rows, want, found, strict=True) if a != b]
        assert wrong == [], f"{len(wrong)} of {records}"
