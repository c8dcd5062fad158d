"""Records of Confluent's own serializers, through a real registry, into events."""

import json
import math
import uuid

import numpy as np
from confluent_kafka.schema_registry import Schema, SchemaReference
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from framed_records import (
    GOOD,
    JSON_SCHEMA,
    NOW,
    PROTO,
    OneSchema,
    avro_body,
    avro_schema,
    context,
    contract,
    decoder,
    frame,
    message_type,
    payment,
)

from streams.events.json_decoder import Decoder

BARE = GOOD | {"count": None, "online": None}


def check(decoded):
    assert decoded.rejected == []
    assert decoded.events.times.tolist() == [NOW, NOW]
    assert decoded.events.keys == ["c1", "c1"]
    assert decoded.events.values("online") == [True, None]
    np.testing.assert_array_equal(decoded.events.numbers("amount"), [12.5, 12.5])
    np.testing.assert_array_equal(decoded.events.numbers("count"), [3, math.nan])


def test_avro(registry):
    topic = uuid.uuid4().hex
    write = AvroSerializer(registry.client(), avro_schema())
    values = [write(event, context(topic)) for event in (GOOD, BARE)]
    check(decoder(registry, "avro").decode(values))


def test_json_schema(registry):
    topic = uuid.uuid4().hex
    write = JSONSerializer(JSON_SCHEMA, registry.client())
    values = [write(event, context(topic)) for event in (GOOD, BARE)]
    check(decoder(registry, "json_schema").decode(values))


def test_protobuf(registry):
    """This serializer registers the descriptor, not the text, and this registry keeps it so."""
    topic = uuid.uuid4().hex
    write = ProtobufSerializer(message_type(PROTO, "Payment"), registry.client())
    full = payment(count=3)
    full.online.value = True
    values = [write(message, context(topic)) for message in (full, payment())]
    check(decoder(registry, "protobuf").decode(values))


def test_protobuf_registered_as_text(registry):
    schema_id = registry.register("PROTOBUF", PROTO)
    full = payment(count=3)
    full.online.value = True
    second = b"\x02\x02"  # one index, 1, as zigzag varints
    values = [frame(schema_id, second + each.SerializeToString()) for each in (full, payment())]
    check(decoder(registry, "protobuf").decode(values))


def test_the_same_events_are_the_same_in_every_format():
    rng = np.random.default_rng(20261121)
    events = [
        {
            "id": i,
            "time": NOW - int(rng.integers(10**9)),
            "card": f"c{rng.integers(9)}é",
            "amount": float(rng.uniform(0, 1000)),
            "count": int(rng.integers(-(2**31), 2**31)),
        }
        | ({"online": bool(rng.integers(2))} if rng.random() < 0.5 else {})
        for i in range(200)
    ]
    avro = avro_schema()
    text = """syntax = "proto3"; message P { int64 id = 1; int64 time = 2; string card = 3;
        double amount = 4; optional sint32 count = 5; optional bool online = 6; }"""
    bodies = {
        "avro": ("AVRO", avro, lambda event: avro_body(avro, {"online": None} | event)),
        "protobuf": (
            "PROTOBUF",
            text,
            lambda event: b"\0" + message_type(text, "P")(**event).SerializeToString(),
        ),
        "json_schema": ("JSON", "{}", lambda event: json.dumps(event).encode()),
    }
    plain = Decoder(contract("json"), lambda: NOW).decode([json.dumps(e).encode() for e in events])
    assert len(plain.events) == 200
    for format, (kind, schema, body) in bodies.items():
        values = [frame(1, body(event)) for event in events]
        same = decoder(OneSchema(kind, schema), format).decode(values).events
        assert same.times.tolist() == plain.events.times.tolist()
        for name in contract("json").fields:
            assert same.values(name) == plain.events.values(name)


def test_avro_schemas_that_refer_to_others(registry):
    """The first in the list of references refers to the second."""
    names = [f"n{uuid.uuid4().hex}" for _ in range(2)]
    part = f'{{"type": "enum", "name": "{names[1]}", "symbols": ["c1"]}}'
    user = (
        f'{{"type": "record", "name": "{names[0]}", '
        f'"fields": [{{"name": "x", "type": "{names[1]}"}}]}}'
    )
    refer = [SchemaReference(name, name, 1) for name in names]
    registry.client().register_schema(names[1], Schema(part, "AVRO"))
    registry.client().register_schema(names[0], Schema(user, "AVRO", refer[1:]))
    whole = avro_schema(card=names[1], more=names[0])
    schema_id = registry.register("AVRO", whole, [refer[1], refer[0]])
    alone = whole.replace(f'"{names[1]}"', part, 1).replace(f'"{names[0]}"', user, 1)
    value = frame(schema_id, avro_body(alone, GOOD | {"more": {"x": "c1"}}))
    decoded = decoder(registry, "avro").decode([value])
    assert decoded.rejected == []
    assert decoded.events.keys == ["c1"]


def test_protobuf_schemas_that_refer_to_others(registry):
    part, whole = uuid.uuid4().hex, uuid.uuid4().hex
    registry.client().register_schema(
        part, Schema('syntax = "proto3"; message Money { double value = 1; }', "PROTOBUF")
    )
    text = (
        'syntax = "proto3"; import "money.proto";'
        "message Payment { int64 id = 1; int64 time = 2; string card = 3; double amount = 4;"
        " Money fee = 5; }"
    )
    refers = [SchemaReference("money.proto", part, 1)]
    schema_id = registry.client().register_schema(whole, Schema(text, "PROTOBUF", refers))
    plain = message_type(
        text.replace('import "money.proto";', "message Money { double value = 1; }"), "Payment"
    )
    body = plain(id=1, time=NOW, card="c1", amount=1.5, fee={"value": 2}).SerializeToString()
    value = frame(schema_id, b"\x00" + body)
    decoded = decoder(registry, "protobuf").decode([value])
    assert decoded.rejected == []
    assert decoded.events.values("amount") == [1.5]
