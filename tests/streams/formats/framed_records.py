"""Contracts, schemas and framed records, as the tests of formats need them."""

import json
import uuid
from functools import cache
from io import BytesIO
from time import monotonic, sleep
from typing import Any

import fastavro
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import message_factory

from streams.events.contract import EventContract
from streams.events.json_decoder import Decoded, TryAgainLaterError
from streams.formats import SchemaRegistrySettings
from streams.formats.framed import FramedDecoder
from streams.formats.protoc import compile_schema
from streams.formats.registry import Schema, SchemaRegistry

NOW = 1_700_000_000_000
FIELDS = {
    "id": {"type": "int"},
    "card": {"type": "string", "max_length": 8},
    "amount": {"type": "float", "min": 0, "max": 1000},
    "count": {"type": "int", "required": False},
    "online": {"type": "bool", "required": False},
}
GOOD: dict[str, Any] = {
    "id": 1,
    "time": NOW,
    "card": "c1",
    "amount": 12.5,
    "count": 3,
    "online": True,
}
TYPES = {
    "id": "long",
    "time": "long",
    "card": "string",
    "amount": "double",
    "count": ["null", "int"],
    "online": ["null", "boolean"],
}
PROTO = """syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message Other { string text = 1; }
message Payment {
  int64 id = 1; google.protobuf.Timestamp time = 2; string card = 3; double amount = 4;
  optional int32 count = 5; google.protobuf.BoolValue online = 6;
  message Inner { int64 id = 1; int64 time = 2; Kind card = 3; float amount = 4; }
  enum Kind { NONE = 0; DEBIT = 1; }
}
"""
JSON_SCHEMA = json.dumps(
    {
        "title": "payment",
        "type": "object",
        "properties": {"id": {"type": "integer"}, "amount": {"type": "number"}},
    }
)


def contract(format: str, time_format: str = "ms", **fields: Any) -> EventContract:
    return EventContract.model_validate(
        {
            "id": "id",
            "time": "time",
            "key": "card",
            "format": format,
            "time_format": time_format,
            "max_bytes": 10_000,
            "fields": FIELDS | fields,
        }
    )


class OneSchema:
    """A registry of one schema, whatever is asked for: where a schema is given, and not fetched."""

    def __init__(self, kind: str, text: str) -> None:
        self._schema = Schema(kind, text, {})

    def schema(self, schema_id: int) -> Schema:
        return self._schema


class PatientDecoder(FramedDecoder):
    """Waits for a registry that is slow to answer, as the machine may be busy."""

    def decode(self, *args: Any) -> Decoded:
        deadline = monotonic() + 60
        while True:
            try:
                return super().decode(*args)
            except TryAgainLaterError:
                assert monotonic() < deadline, "the registry does not answer"
                sleep(0.05)


def decoder(registry: Any, format: str, **more: Any) -> FramedDecoder:
    """A decoder at a real registry, or of the one schema that is given."""
    if not isinstance(registry, OneSchema):
        registry = SchemaRegistry(SchemaRegistrySettings(url=registry.url))
    return PatientDecoder(contract(format, **more), registry, lambda: NOW)


def avro_schema(drop: Any = (), **types: Any) -> str:
    """The schema of `GOOD`; `types` are types or whole fields, instead of or beside its own."""
    fields = [
        {"name": name, **(kind if isinstance(kind, dict) and "type" in kind else {"type": kind})}
        for name, kind in (TYPES | types).items()
        if name not in drop
    ]
    return json.dumps({"type": "record", "name": f"p{uuid.uuid4().hex}", "fields": fields})


def avro_body(schema: str, event: dict[str, Any]) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(schema)), event)
    return stream.getvalue()


def avro(registry: Any, event: dict[str, Any], drop: Any = (), **types: Any) -> bytes:
    """A framed Avro record, its schema registered."""
    schema = avro_schema(drop, **types)
    return frame(registry.register("AVRO", schema), avro_body(schema, event))


def frame(schema_id: int, body: bytes) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + body


@cache
def message_type(text: str, *path: str) -> Any:
    """The Python class of a message in a Protobuf schema."""
    types = compile_schema(Schema("PROTOBUF", text, {})).message_types_by_name
    descriptor = types[path[0]]
    for name in path[1:]:
        descriptor = descriptor.nested_types_by_name[name]
    return message_factory.GetMessageClass(descriptor)


def payment(**fields: Any) -> Any:
    """A Protobuf message like `GOOD`, without what is optional."""
    message = message_type(PROTO, "Payment")(**{"id": 1, "card": "c1", "amount": 12.5} | fields)
    message.time.FromMilliseconds(NOW)
    return message


def context(topic: str) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE)


def one_reason(decoded: Any) -> tuple[Any, str | None]:
    """Reason and field of the one record that was rejected."""
    (bad,) = decoded.rejected
    assert len(bad.detail) < 250
    return bad.reason, bad.field
