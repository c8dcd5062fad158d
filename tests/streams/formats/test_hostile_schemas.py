"""Schemas that a producer may register: whatever they are, each has a settled answer."""

import errno
import json
from threading import Event

import numpy as np
import pytest
from framed_records import GOOD, NOW, PROTO, OneSchema, avro_body, avro_schema, contract, frame
from hypothesis import HealthCheck, given, settings

from streams.base.apart.starter import NotStartedError
from streams.events.json_decoder import TryAgainLaterError
from streams.events.rejection import Reason
from streams.formats import protoc, schema_shelf
from streams.formats.avro_schema import parse
from streams.formats.framed import FramedDecoder
from streams.formats.reader import WrongSchemaError
from streams.formats.registry import Schema
from tests.fuzz import schemas

SMALL = 'syntax="proto3"; message A {int64 id=1; int64 time=2;}'
FORMATS = {"AVRO": "avro", "PROTOBUF": "protobuf", "JSON": "json_schema"}


class Shelf:
    """A registry of the schemas that it is given, by their ids."""

    def __init__(self, *found: Schema) -> None:
        self.found = found
        self.asked: list[int] = []

    def schema(self, schema_id: int) -> Schema:
        self.asked.append(schema_id)
        return self.found[schema_id]


def outcome(kind: str, text: str, references: dict, body: bytes = b"\0\x08\x01\x10\x01"):
    """The reason, or None, for a record of a schema; asked for twice, and compiled once."""
    registry = Shelf(Schema(kind, text, references))
    decoder = FramedDecoder(contract(FORMATS[kind]), registry, lambda: NOW)
    reasons = []
    for _ in range(2):
        try:
            decoded = decoder.decode([frame(0, body)])
        except TryAgainLaterError:  # on a busy machine
            decoder._schemas._in_work[0].result(60)
            decoded = decoder.decode([frame(0, body)])
        (rejected,) = decoded.rejected or (None,)
        reasons.append(rejected and rejected.reason)
        if rejected:
            rejected.detail.encode()
            assert rejected.detail.isprintable()
    assert registry.asked == [0]
    assert reasons[0] == reasons[1]
    return reasons[0]


@pytest.mark.parametrize(
    "references",
    [
        {"a" * 300: SMALL},
        {"a" * 99 + "/" + "b" * 99 + "/" + "c" * 99: SMALL},
        {"a": SMALL, "a/b": SMALL},
        {"a/b": SMALL, "a": SMALL},
        {"a/b/c": SMALL, "a": SMALL},
        {"": SMALL},
        {".": SMALL},
        {"..": SMALL},
        {"../a": SMALL},
        {"/a": SMALL},
        {"a//b": SMALL},
        {"a/": SMALL},
        {"\0": SMALL},
        {"a\0b": SMALL},
        {"\ud800": SMALL},
        {"a\n": SMALL},
        {"-I": SMALL},
        {"--plugin=x": SMALL},
        {"a\\b": SMALL},
        {"a:b": SMALL},
        {"weir_record.proto": SMALL},
        {"1" * 100_000: SMALL},
    ],
    ids=range(22),
)
def test_names_of_references_that_are_no_paths_are_refused(references):
    assert outcome("PROTOBUF", SMALL, references) == Reason.WRONG_SCHEMA


@pytest.mark.parametrize(
    ("text", "references"),
    [
        ("\ud800", {}),
        ("\0", {}),
        ("", {}),
        ("A" * 4_000, {}),
        ("=" * 4, {}),
        (SMALL.replace("message", "import 'a'; message"), {"a": "\ud800"}),
        (SMALL.replace("message", "import 'a'; message"), {"a": "import 'weir_record.proto';"}),
        (SMALL.replace("message", "import 'a'; message"), {"a": "import 'a';"}),
        (SMALL.replace("message", "import '/etc/passwd'; message"), {}),
        (SMALL.replace("message", "import '../described.json'; message"), {}),
        (SMALL.replace("message", 'import "/proc/self/environ"; message'), {}),
        ("{" * 100_000, {}),
        ("message A{" * 3_000 + "}" * 3_000, {}),
    ],
    ids=range(13),
)
def test_protobuf_texts_of_no_use_are_refused(text, references):
    assert outcome("PROTOBUF", text, references) == Reason.WRONG_SCHEMA


def test_names_that_fill_memory_when_they_are_written_out_are_refused():
    inner = "".join(f"message b{i}{{}}" for i in range(3_000))
    text = f'syntax="proto3"; message {"a" * 5_000} {{{inner}}}'
    assert outcome("PROTOBUF", text, {}) == Reason.WRONG_SCHEMA


def test_what_protobuf_brings_along_is_not_replaced():
    mine = 'syntax="proto3"; package google.protobuf; message Timestamp {string seconds=9;}'
    schema = Schema("PROTOBUF", PROTO, {"google/protobuf/timestamp.proto": mine})
    time = protoc.compile_schema(schema).message_types_by_name["Payment"].fields_by_name["time"]
    assert [each.name for each in time.message_type.fields] == ["seconds", "nanos"]


def test_references_in_folders_are_found():
    text = SMALL.replace("message", "import 'shop/v1/money-2.proto'; message")
    references = {"shop/v1/money-2.proto": 'syntax="proto3"; package shop; message M {}'}
    assert protoc.compile_schema(Schema("PROTOBUF", text, references))


def test_a_schema_that_keeps_protoc_busy_is_given_up(monkeypatch):
    bounds = protoc.Bounds(cpu_s=0, wall_s=60, memory_mb=1_024, file_mb=16)
    monkeypatch.setattr(protoc, "_BOUNDS", bounds)
    with pytest.raises(WrongSchemaError, match=r"took more than 0 s|ended by SIG"):
        protoc.compile_schema(Schema("PROTOBUF", SMALL, {}))


def test_a_fault_of_the_machine_is_tried_again(monkeypatch, caplog):
    faults = [
        OSError(errno.ENOSPC, "No space left on device"),
        NotStartedError("can't bound a process"),
        MemoryError(),
    ]
    monkeypatch.setattr(schema_shelf, "_PAUSE_S", 0)

    def compiled(schema):
        if faults:
            raise faults.pop(0)
        raise WrongSchemaError("it is settled")

    shelf = schema_shelf.SchemaShelf(
        Shelf(Schema("AVRO", "{}", {})), "AVRO", "avro", compiled, 1_000
    )
    for said in ("No space left", "can't bound", "MemoryError"):
        with pytest.raises(schema_shelf.SchemaNotReadyError, match=said):
            shelf.get(b"\0" * 5)
        assert said in caplog.text
    assert "it is settled" in shelf.get(b"\0" * 5).detail


@pytest.mark.parametrize(
    "error", [OSError(errno.ENAMETOOLONG, "x"), FileExistsError(errno.EEXIST, "x"), ValueError("x")]
)
def test_all_else_that_is_raised_is_settled(error):
    def compiled(schema):
        raise error

    shelf = schema_shelf.SchemaShelf(
        Shelf(Schema("AVRO", "{}", {})), "AVRO", "avro", compiled, 1_000
    )
    assert shelf.get(b"\0" * 5).reason == Reason.WRONG_SCHEMA


def test_the_stream_waits_once_for_a_slow_schema_and_then_looks_in(monkeypatch):
    go_on = Event()
    monkeypatch.setattr(schema_shelf, "_PATIENCE_S", 0.01)

    def compiled(schema):
        assert go_on.wait(60)
        raise WrongSchemaError("it was slow")

    schema = Schema("AVRO", "{}", {})
    shelf = schema_shelf.SchemaShelf(Shelf(*[schema] * 3), "AVRO", "avro", compiled, 1_000)
    headers = [bytes([0, 0, 0, 0, each]) for each in range(3)]
    for header in headers:
        with pytest.raises(schema_shelf.SchemaNotReadyError, match="being compiled"):
            shelf.get(header)
    works = dict(shelf._in_work)
    go_on.set()
    for number, header in enumerate(headers):
        works[number].result(60)
        assert "it was slow" in shelf.get(header).detail


def test_schemas_that_were_not_needed_for_long_are_dropped():
    schemas_given = [Schema("AVRO", avro_schema() + " " * 900, {}) for _ in range(60)]
    registry = Shelf(*schemas_given)
    decoder = FramedDecoder(contract("avro"), registry, lambda: NOW, max_bytes=1_000)
    values = [frame(i, avro_body(s.text, GOOD)) for i, s in enumerate(schemas_given)]
    for value in values:
        assert decoder.decode([value]).rejected == []
    assert len(decoder._schemas._kept) < 20
    assert decoder.decode([values[-1]]).rejected == []
    assert registry.asked == list(range(60))
    # All in one batch: as far as there is room, and then the rest.
    late = np.full(len(values), NOW - 10**12, np.int64)  # each is looked at a second time
    with pytest.raises(TryAgainLaterError, match="more schemas in one batch") as later:
        decoder.decode(values, late)
    assert 10 < later.value.position < 20
    assert len(later.value.decoded.rejected) == later.value.position


DEEP = {"type": "null"}
for _ in range(200):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("kind", "text", "references"),
    [
        ("AVRO", "[" * 100_000, {}),
        ("AVRO", "\ud800", {}),
        ("AVRO", '"\\ud800"', {}),
        ("AVRO", '{"type":"record","name":"\\ud800","fields":[]}', {}),
        ("AVRO", '{"type":"record","name":"a","fields":[{"name":"\\ud800","type":"b"}]}', {}),
        ("AVRO", json.dumps({"type": "record", "name": "a" * 100_000, "fields": 1}), {}),
        (
            "AVRO",
            json.dumps({"type": "record", "name": "a", "fields": [{"name": "b", "type": DEEP}]}),
            {},
        ),
        ("AVRO", '{"type":"fixed","name":"a","size":1e400}', {}),
        ("AVRO", '{"type":"fixed","name":"a","size":' + "9" * 5_000 + "}", {}),
        ("AVRO", '"b"', {"b": '"b"', "c": "{"}),
        ("AVRO", "7", {}),
        ("AVRO", "null", {}),
        ("JSON", "[" * 100_000, {}),
        ("JSON", '{"$ref":"#"}', {}),
        ("JSON", '{"$ref":"a"}', {"a": '{"$ref":"b"}', "b": '{"$ref":"a"}'}),
        ("JSON", '{"pattern":"(a{1,1000}){1,1000}"}', {}),
        ("JSON", '{"pattern":"("}', {}),
        ("JSON", '{"$ref":"\\ud800"}', {}),
        ("JSON", '{"$ref":"file:///etc/passwd"}', {}),
        ("JSON", '{"$ref":"http://127.0.0.1/x"}', {}),
        ("JSON", '{"type":"\\ud800"}', {}),
        ("JSON", '{"minimum":1e99999,"type":7}', {}),
        ("JSON", "\ud800", {"\ud800": "\ud800"}),
    ],
    ids=range(23),
)
def test_avro_and_json_schemas_of_no_use_answer_no_record(kind, text, references):
    assert outcome(kind, text, references, b"{}") is not None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(schemas.hostile(protobuf=False))
def test_whatever_is_registered_has_a_settled_answer(made):
    outcome(made.kind, made.text, made.references, made.body)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(schemas.hostile(avro=False, json_schema=False))
def test_whatever_is_registered_for_protobuf_has_a_settled_answer(made):
    outcome(made.kind, made.text, made.references, made.body)


@pytest.mark.exhaustive
@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(schemas.hostile())
def test_whatever_is_registered_has_a_settled_answer_in_many_tries(made):
    outcome(made.kind, made.text, made.references, made.body)


def chain(levels: int) -> Schema:
    """An Avro schema whose records nest, each within the next, by their names alone."""
    fields = [
        {
            "name": f"f{i}",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": f"R{i}",
                    "fields": [{"name": "a", "type": f"R{i - 1}" if i else "int"}],
                },
            ],
        }
        for i in range(levels)
    ]
    return Schema("AVRO", json.dumps({"type": "record", "name": "r", "fields": fields}), {})


def test_avro_records_that_nest_by_names_are_bounded():
    """30,000 levels overflowed the stack of the process, whose end that was."""
    parse(chain(90))
    for levels in (150, 30_000):
        with pytest.raises(WrongSchemaError, match="nest deeper than 100 levels"):
            parse(chain(levels))


def test_another_kind_is_refused_with_its_name_in_few_words():
    decoder = FramedDecoder(contract("avro"), OneSchema("X" * 10_000, ""), lambda: NOW)
    (rejected,) = decoder.decode([frame(1, b"x")]).rejected
    assert rejected.reason == Reason.WRONG_SCHEMA
    assert len(rejected.detail) <= 240
