"""Writers' schemas change: two versions under one subject, and what becomes of their records."""

import json
import uuid

import pytest
from confluent_kafka.schema_registry import Schema
from framed_records import (
    GOOD,
    NOW,
    avro_body,
    avro_schema,
    decoder,
    frame,
    message_type,
    one_reason,
)

from streams.events.rejection import Reason

PLAIN = {
    "id": "int64",
    "time": "int64",
    "card": "string",
    "amount": "double",
    "count": "optional int32",
    "online": "optional bool",
}
JSON_TYPES = {
    "long": "integer",
    "int": "integer",
    "string": "string",
    "double": "number",
    "float": "number",
    "boolean": "boolean",
}
PROTO_TYPES = {
    "long": "int64",
    "int": "int32",
    "string": "string",
    "double": "double",
    "float": "float",
    "boolean": "bool",
}


class Avro:
    kind, format = "AVRO", "avro"

    def schema(self, drop, added):
        types = {
            name: {"type": ["null", kind], "default": None} if optional else kind
            for name, (kind, optional) in added.items()
        }
        return avro_schema(set(drop) - added.keys(), **types)

    def body(self, schema, event):
        return avro_body(schema, event)


class Protobuf:
    kind, format = "PROTOBUF", "protobuf"

    def schema(self, drop, added):
        fields = {name: kind for name, kind in PLAIN.items() if name not in drop}
        for name, (kind, optional) in added.items():
            fields[name] = f"{'optional ' if optional else ''}{PROTO_TYPES[kind]}"
        numbers = {name: i for i, name in enumerate([*PLAIN, *added], 1)}
        body = "".join(f" {kind} {name} = {numbers[name]};" for name, kind in fields.items())
        return f'syntax = "proto3"; message Payment {{{body} }}'

    def body(self, schema, event):
        return b"\0" + message_type(schema, "Payment")(**event).SerializeToString()


class JsonSchema:
    kind, format = "JSON", "json_schema"

    def schema(self, drop, added):
        types = {
            "id": "integer",
            "time": "integer",
            "card": "string",
            "amount": "number",
            "count": "integer",
            "online": "boolean",
        }
        types = {name: kind for name, kind in types.items() if name not in drop}
        types |= {name: JSON_TYPES[kind] for name, (kind, _) in added.items()}
        return json.dumps(
            {"type": "object", "properties": {name: {"type": t} for name, t in types.items()}}
        )

    def body(self, schema, event):
        return json.dumps(event).encode()


FORMATS = [Avro(), Protobuf(), JsonSchema()]


@pytest.fixture(params=FORMATS, ids=lambda each: each.format)
def evolve(request, registry):
    """Old, new and old again, decoded together."""
    format = request.param
    subject = uuid.uuid4().hex

    def records(change, drop=(), **added):
        old, new = format.schema((), {}), format.schema(drop, added)
        kept = {name: value for name, value in GOOD.items() if name not in drop} | change
        values = []
        for schema, event in ((old, GOOD), (new, kept), (old, GOOD)):
            schema_id = registry.client().register_schema(subject, Schema(schema, format.kind))
            values.append(frame(schema_id, format.body(schema, event)))
        assert values[0] == values[2]
        assert values[0][:5] != values[1][:5]
        return values

    def decode(change, drop=(), declared=None, **added):
        values = records(change, drop, **added)
        return decoder(registry, format.format, **(declared or {})).decode(values)

    return decode


def test_an_added_field_is_ignored(evolve):
    events = evolve({"shop": "s"}, shop=("string", True)).events
    assert events.ids == [1, 1, 1]
    assert events.times.tolist() == [NOW] * 3


def test_an_added_field_that_the_contract_declares_is_missing_in_older_records(evolve):
    declared = {"shop": {"type": "string", "required": False}}
    decoded = evolve({"shop": "s"}, declared=declared, shop=("string", True))
    assert decoded.rejected == []
    assert decoded.events.values("shop") == [None, "s", None]


def test_an_added_field_that_the_contract_requires_rejects_older_records(evolve):
    decoded = evolve({"shop": "s"}, declared={"shop": {"type": "string"}}, shop=("string", True))
    assert [(bad.position, bad.reason, bad.field) for bad in decoded.rejected] == [
        *((0, Reason.MISSING_FIELD, "shop"), (2, Reason.MISSING_FIELD, "shop"))
    ]
    assert decoded.events.values("shop") == ["s"]


def test_a_removed_optional_field_is_missing(evolve):
    decoded = evolve({}, drop=["count"])
    assert decoded.rejected == []
    assert decoded.events.values("count") == [3, None, 3]


def test_a_removed_required_field_rejects_newer_records(evolve):
    decoded = evolve({}, drop=["amount"])
    assert one_reason(decoded) == (Reason.MISSING_FIELD, "amount")
    assert decoded.positions.tolist() == [0, 2]


@pytest.mark.parametrize("kind", ["float", "int", "long"])
def test_a_type_that_can_be_promoted_is_read_as_before(evolve, kind):
    decoded = evolve({"amount": 12}, drop=["amount"], amount=(kind, False))
    assert decoded.rejected == []
    assert decoded.events.values("amount") == [12.5, 12.0, 12.5]


@pytest.mark.parametrize(
    ("field", "kind", "value"),
    [
        ("amount", "string", "1,2"),
        ("card", "long", 7),
        ("online", "long", 2),
        ("id", "double", 1.5),
    ],
)
def test_a_type_that_the_contract_does_not_allow_rejects_newer_records(evolve, field, kind, value):
    decoded = evolve({field: value}, drop=[field], **{field: (kind, False)})
    assert one_reason(decoded) == (Reason.WRONG_TYPE, field)
    assert decoded.positions.tolist() == [0, 2]


def test_a_renamed_field_is_a_removed_one(evolve):
    decoded = evolve({"sum": 9.5}, drop=["amount"], sum=("double", False))
    assert one_reason(decoded) == (Reason.MISSING_FIELD, "amount")


def test_a_field_renamed_with_its_old_name_as_alias(registry):
    old, new = avro_schema(), avro_schema(["amount"], sum={"type": "double", "aliases": ["amount"]})
    values = [
        frame(registry.register("AVRO", schema), avro_body(schema, GOOD | {"sum": 9.5}))
        for schema in (old, new)
    ]
    decoded = decoder(registry, "avro").decode(values)
    assert decoded.rejected == []
    assert decoded.events.values("amount") == [12.5, 9.5]
