"""How fast framed records become columns, against Confluent's own deserializers.

The figure is the least of the ratios. Both read the same frames, with the schemas at hand, in an
order drawn anew for each batch. Confluent's deserializers make a dictionary or a message of each
record; ours checks it against the contract too, and makes times and three columns. JSON bodies are
held against their schema by both, and, under ``not validated``, by neither. The library alone only
parses bodies: what is left for a decoder to lose.
"""

import json
import statistics
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import numpy as np
from confluent_kafka.schema_registry import Schema as RegisteredSchema
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import message_factory

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.decode import BATCH, COLUMNS, CONTRACT, NOW, Event, make_batch
from benchmarks.harness import arguments, report
from streams.formats.framed import FramedDecoder
from streams.formats.protoc import compile_schema
from streams.formats.registry import Schema

OURS, THEIRS, ALONE = "decoder with 3 columns", "Confluent's deserializer", "library alone"
TARGET_RATIO = 2.0
AVRO = {
    "type": "record",
    "name": "Payment",
    "fields": [
        {"name": name, "type": kind}
        for name, kind in {
            "transaction_id": "long",
            "time": "long",
            "customer_id": "long",
            "terminal_id": "long",
            "amount": "double",
            "currency": "string",
            "card_present": ["null", "boolean"],
            "country": "string",
            "balance": ["null", "double"],
        }.items()
    ],
}
PROTOBUF = """syntax = "proto3";
message Payment {
  int64 transaction_id = 1; int64 time = 2; int64 customer_id = 3; int64 terminal_id = 4;
  double amount = 5; string currency = 6; optional bool card_present = 7; string country = 8;
  optional double balance = 9;
}
"""
JSON_SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Payment",
    "type": "object",
    "properties": {
        "transaction_id": {"type": "integer"},
        "time": {"type": "integer", "minimum": 0},
        "customer_id": {"type": "integer"},
        "terminal_id": {"type": "integer"},
        "amount": {"type": "number", "minimum": 0},
        "currency": {"type": "string", "maxLength": 3},
        "card_present": {"type": ["boolean", "null"]},
        "country": {"type": "string", "pattern": "^[A-Z]{2}$"},
        "balance": {"type": ["number", "null"]},
    },
    "required": ["transaction_id", "time", "customer_id"],
}
NOT_VALIDATED = "json_schema, not validated"
SCHEMAS = {
    "avro": Schema("AVRO", json.dumps(AVRO), {}),
    "protobuf": Schema("PROTOBUF", PROTOBUF, {}),
    "json_schema": Schema("JSON", json.dumps(JSON_SCHEMA), {}),
    NOT_VALIDATED: Schema("JSON", json.dumps(JSON_SCHEMA), {}),
}


class OneSchema:
    """In place of the registry, which is asked once only: not what is measured."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def schema(self, schema_id: int) -> Schema:
        """Return the schema, whatever the id."""
        return self._schema


def contenders() -> dict[str, dict[str, Any]]:
    """For each format how to write a body, and who reads frames (or bodies) of it."""
    avro = fastavro.parse_schema(AVRO)
    descriptor = compile_schema(SCHEMAS["protobuf"]).message_types_by_name["Payment"]
    payment = message_factory.GetMessageClass(descriptor)
    context = SerializationContext("payments", MessageField.VALUE)

    def write_json(event: dict[str, Any]) -> bytes:
        return json.dumps(event).encode()

    def write_avro(event: dict[str, Any]) -> bytes:
        stream = BytesIO()
        fastavro.schemaless_writer(stream, avro, event)
        return stream.getvalue()

    # The client that Confluent makes for tests: what it knows, it has at hand. A Protobuf schema is
    # registered as its descriptor, for their deserializer does not read its text.
    texts = {name: schema.text for name, schema in SCHEMAS.items()}
    texts["protobuf"] = b64encode(descriptor.file.serialized_pb).decode()
    client = SchemaRegistryClient.new_client({"url": "mock://"})
    theirs = {
        "avro": AvroDeserializer(client),
        "protobuf": ProtobufDeserializer(payment, {}, client),
        "json_schema": JSONDeserializer(None, None, client),
        NOT_VALIDATED: JSONDeserializer(None, None, client, {"validate": False}),
    }
    write: dict[str, Callable[[dict[str, Any]], bytes]] = {
        "avro": write_avro,
        "protobuf": lambda event: b"\0" + payment(**event).SerializeToString(),
        "json_schema": write_json,
        NOT_VALIDATED: write_json,
    }
    alone: dict[str, Callable[[bytes], Any]] = {
        "avro": lambda body: fastavro.schemaless_reader(BytesIO(body), avro, None),
        "protobuf": lambda body: payment.FromString(body[1:]),
        "json_schema": msgspec.json.Decoder(Event).decode,
        NOT_VALIDATED: msgspec.json.Decoder(Event).decode,
    }

    def ours(name: str) -> Callable[[list[bytes]], None]:
        contract = CONTRACT.model_copy(update={"format": name.partition(",")[0]})
        decoder = FramedDecoder(
            contract, OneSchema(SCHEMAS[name]), lambda: NOW, validate_json=name != NOT_VALIDATED
        )

        def decode(frames: list[bytes]) -> None:
            decoded = decoder.decode(frames)
            assert not decoded.rejected
            for column in COLUMNS:
                decoded.events.numbers(column)

        return decode

    def each(read: Callable[..., Any], *more: Any) -> Callable[[list[bytes]], None]:
        def all_of_them(values: list[bytes]) -> None:
            for value in values:
                read(value, *more)

        return all_of_them

    return {
        name: {
            "id": client.register_schema(
                f"{name}-value", RegisteredSchema(texts[name], schema.kind)
            ),
            "write": write[name],
            OURS: ours(name),
            THEIRS: each(theirs[name], context),
            ALONE: each(alone[name]),
        }
        for name, schema in SCHEMAS.items()
    }


def measure(batches: int) -> dict[tuple[str, str], float]:
    """Return the median records per second of each contender."""
    rng = np.random.default_rng(7)
    formats = contenders()
    seconds: dict[tuple[str, str], list[float]] = {}
    for number in range(batches + 1):
        events = [json.loads(value) for value in make_batch(rng, number)]
        for name, those in formats.items():
            bodies = [those["write"](event) for event in events]
            header = b"\0" + those["id"].to_bytes(4, "big")
            frames = [header + body for body in bodies]
            for who in rng.permutation([OURS, THEIRS, ALONE]):
                values = bodies if who == ALONE else frames
                start = time.perf_counter()
                those[who](values)
                taken = time.perf_counter() - start
                if number:  # the first makes readers of the schemas
                    seconds.setdefault((name, str(who)), []).append(taken)
    return {key: BATCH / statistics.median(taken) for key, taken in sorted(seconds.items())}


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__ or "")
    rates = measure(6 if args.quick else 60)
    ratios = {
        name: {who: round(rates[name, OURS] / rates[name, who], 3) for who in (THEIRS, ALONE)}
        for name in SCHEMAS
    }
    figure = min(ratio[THEIRS] for ratio in ratios.values())
    report(
        args,
        name="formats",
        figure=figure,
        unit="times the rate of Confluent's deserializer, in the slowest format",
        target=TARGET_RATIO,
        met=figure >= TARGET_RATIO,
        details={
            "records_per_second": {", ".join(key): round(rate) for key, rate in rates.items()},
            "ratios": ratios,
            "batch": BATCH,
        },
        text="\n".join(
            f"{name:<28}{who:<26}{rate:>12,.0f} records/s" for (name, who), rate in rates.items()
        ),
    )


if __name__ == "__main__":
    main()
