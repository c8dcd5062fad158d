"""Records and schemas made to crash, to hang, or to eat memory."""

import json
import resource
import time

import pytest
from framed_records import (
    GOOD,
    NOW,
    PROTO,
    OneSchema,
    avro_body,
    avro_schema,
    decoder,
    frame,
    one_reason,
    payment,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events.rejection import Reason

LARGE = 1_000_000


def number(value):
    """Avro's encoding of an integer."""
    value = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def avro_with(kind, body):
    """A record with one more field, at its end, of a type and with the bytes given."""
    schema = json.loads(avro_schema())
    good = avro_body(json.dumps(schema), GOOD)
    schema["fields"].append({"name": "more", "type": kind})
    return decode("AVRO", json.dumps(schema), good + body)


def decode(kind, text, body):
    format = {"AVRO": "avro", "PROTOBUF": "protobuf", "JSON": "json_schema"}[kind]
    one = decoder(OneSchema(kind, text), format)
    one._contract = one._contract.model_copy(update={"max_bytes": 10 * LARGE})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    decoded = one.decode([frame(1, body)])
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KB
    return decoded


NESTED = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
VIA = {
    "type": "record",
    "name": "A",
    "fields": [
        {
            "name": "b",
            "type": {
                "type": "record",
                "name": "B",
                "fields": [{"name": "a", "type": {"type": "map", "values": "A"}}],
            },
        }
    ],
}
NOTHING = {"type": "record", "name": "E", "fields": [{"name": "x", "type": "null"}]}


def doubled(levels):
    kind = NOTHING
    for level in range(levels):
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": kind["name"]}]
        kind = {"type": "record", "name": f"D{level}", "fields": fields}
    return kind


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (doubled(50), b""),
        (NESTED, b"\x02" * LARGE + b"\0"),
        (VIA, b"\x02\x02a" * LARGE),
        ({"type": "array", "items": "null"}, number(2**60) + b"\0"),
        ({"type": "array", "items": NOTHING}, number(-(2**60)) + b"\x02\0"),
        ({"type": "array", "items": {"type": "fixed", "name": "f", "size": 0}}, number(2**60)),
        ({"type": "map", "values": {"type": "array", "items": "null"}}, b"\0"),
    ],
    ids=[
        "doubled",
        "itself",
        "itself by way of another",
        "nulls",
        "empty records",
        "empty fixed",
        "deeper",
    ],
)
def test_schemas_whose_records_have_no_bounds(kind, body):
    assert one_reason(avro_with(kind, body)) == (Reason.WRONG_SCHEMA, None)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("string", number(2**62) + b"x"),
        ("bytes", number(-(2**62)) + b"x"),
        ({"type": "fixed", "name": "f", "size": 2**40}, b"x"),
        ({"type": "array", "items": "long"}, number(2**62) + b"\0" * LARGE),
        ({"type": "array", "items": {"type": "array", "items": "long"}}, number(2**40) + b"\0" * 9),
        ({"type": "map", "values": "null"}, number(2**62) + b"\0" * LARGE),
        ({"type": "enum", "name": "e", "symbols": ["a"]}, number(2**62)),
        (["null", "string"], number(2**62)),
        ("long", b"\xff" * LARGE),
        ("string", b"\x04\xff\xfe"),
    ],
)
def test_avro_lengths_and_counts(kind, body):
    assert one_reason(avro_with(kind, body)) == (Reason.BAD_BODY, None)


def test_a_little_nothing_is_allowed():
    assert avro_with(NOTHING, b"").rejected == []
    assert avro_with(doubled(5), b"").rejected == []


def test_a_decimal_of_a_megabyte():
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
    huge = number(LARGE) + b"\x7f" * LARGE
    assert avro_with(kind, huge).rejected == []  # nobody looks at it
    schema = json.loads(avro_schema(drop=["amount"]))
    body = avro_body(json.dumps(schema), GOOD)
    schema["fields"].append({"name": "amount", "type": kind})
    assert one_reason(decode("AVRO", json.dumps(schema), body + huge)) == (Reason.BAD_BODY, None)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"type":"array","items":' * 5_000 + '"int"' + "}" * 5_000,
        '{"type": "record", "name": "r"}',
        '{"type": "record", "name": "r", "fields": [{"name": "id", "type": "nothing"}]}',
        '{"type": "record", "name": "r", "fields": [{"name": "id"}]}',
        '{"type": "record", "name": "r", "fields": 7}',
        '"string"',
        "",
    ],
    ids=range(8),
)
def test_avro_schemas_of_no_use(text):
    assert one_reason(decode("AVRO", text, b"x")) == (Reason.WRONG_SCHEMA, None)


def test_protobuf_that_nests_without_end():
    text = """syntax = "proto3";
        message P { int64 id = 1; int64 time = 2; string card = 3; double amount = 4; P more = 5; }
    """
    groups = b"\x2b" * LARGE  # field 5 as a group, begun and never ended
    assert one_reason(decode("PROTOBUF", text, b"\0" + groups)) == (Reason.BAD_BODY, None)
    nested = b""
    for _ in range(2_000):
        nested = b"\x2a" + _varint(len(nested)) + nested
    assert one_reason(decode("PROTOBUF", text, b"\0" + nested)) == (Reason.BAD_BODY, None)


def _varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def test_protobuf_lengths_and_unknown_fields():
    good = payment().SerializeToString()
    assert one_reason(
        decode("PROTOBUF", PROTO, b"\x02\x02" + good + b"\x1a\xff\xff\xff\xff\x07x")
    ) == (Reason.BAD_BODY, None)
    unknown = b"\xa0\x06\x01" * LARGE  # field 100, a million times
    assert decode("PROTOBUF", PROTO, b"\x02\x02" + good + unknown).rejected == []


def test_json_that_nests_without_end():
    body = b'{"id":1,"time":%d,"card":"c","amount":1,"x":' % NOW + b"[" * LARGE
    assert one_reason(decode("JSON", "{}", body)) == (Reason.TOO_DEEP, None)


GOOD_BODIES = {
    "AVRO": (avro_schema(), lambda text: avro_body(text, GOOD)),
    "PROTOBUF": (PROTO, lambda text: b"\x02\x02" + payment(count=3).SerializeToString()),
    "JSON": ("{}", lambda text: json.dumps(GOOD).encode()),
}


@pytest.mark.parametrize("kind", list(GOOD_BODIES))
def test_any_bytes_are_an_event_or_a_reason(kind):
    """Whatever the bytes: one of both, the same alone as among others, and finite numbers."""
    text, make = GOOD_BODIES[kind]
    good = make(text)
    format = {"AVRO": "avro", "PROTOBUF": "protobuf", "JSON": "json_schema"}[kind]
    one = decoder(OneSchema(kind, text), format)
    cut = st.integers(0, len(good)).map(lambda at: good[:at])
    mutated = st.tuples(st.integers(0, len(good) - 1), st.binary(max_size=12)).map(
        lambda change: good[: change[0]] + change[1] + good[change[0] + len(change[1]) :]
    )
    bodies = st.lists(st.binary(max_size=60) | cut | mutated | st.just(good), max_size=8)

    @settings(max_examples=150, deadline=None)
    @given(bodies)
    def check(bodies):
        frames = [frame(1, body) for body in bodies]
        together = one.decode(frames)
        assert len(together.events) + len(together.rejected) == len(frames)
        alone = [one.decode([each]) for each in frames]
        assert together.positions.tolist() == [i for i, each in enumerate(alone) if each.events]
        assert [bad.detail for bad in together.rejected] == [
            bad.detail for each in alone for bad in each.rejected
        ]
        for name in ("amount", "count"):
            numbers = together.events.numbers(name)
            missing = [value is None for value in together.events.values(name)]
            assert ((numbers == numbers) != missing).all()

    check()
