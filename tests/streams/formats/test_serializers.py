"""Records of Confluent's own serializers, through a real registry, into events."""

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
    avro_body,
    avro_schema,
    context,
    decoder,
    frame,
    message_type,
    payment,
)

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
