"""What an Avro schema may say of the contract's fields, and what comes of it."""

import math

import pytest
from framed_records import (
    GOOD,
    NOW,
    OneSchema,
    avro,
    avro_body,
    avro_schema,
    decoder,
    frame,
    one_reason,
)

from streams.events.rejection import Reason

DECIMAL = {"type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}}
FIXED = {
    "type": [
        "null",
        {
            "type": "fixed",
            "size": 3,
            "name": "d",
            "logicalType": "decimal",
            "precision": 6,
            "scale": 1,
        },
    ]
}
ENUM = {"type": {"type": "enum", "name": "card_kind", "symbols": ["c1", "c2"]}}


def unscaled(value):
    return value.to_bytes(3, "big", signed=True)


@pytest.mark.parametrize(
    ("kind", "time", "time_format"),
    [
        ("long", NOW // 1000, "s"),
        ("long", NOW * 1000, "us"),
        ("string", "2023-11-14T22:13:20Z", "iso"),
        ({"type": "long", "logicalType": "timestamp-millis"}, NOW, "us"),
        ({"type": "long", "logicalType": "timestamp-micros"}, NOW * 1000 + 999, "iso"),
        (["null", {"type": "long", "logicalType": "local-timestamp-millis"}], NOW, "s"),
    ],
)
def test_times(registry, kind, time, time_format):
    value = avro(registry, GOOD | {"time": time}, time={"type": kind})
    decoded = decoder(registry, "avro", time_format=time_format).decode([value])
    assert decoded.rejected == []
    assert decoded.events.times.tolist() == [NOW]


def test_a_time_that_is_another_kind_of_time(registry):
    for kind in ({"type": "int", "logicalType": "date"}, {"type": "long", "logicalType": "x-ns"}):
        value = avro(registry, GOOD | {"time": 19_000}, time={"type": kind})
        (bad,) = decoder(registry, "avro").decode([value]).rejected
        assert bad.reason == Reason.WRONG_SCHEMA
        assert kind["logicalType"] in bad.detail


@pytest.mark.parametrize(
    ("types", "changes", "amount"),
    [
        ({"amount": DECIMAL}, {"amount": unscaled(1250)}, 12.5),
        ({"amount": FIXED}, {"amount": unscaled(125)}, 12.5),
        ({"amount": "float"}, {}, 12.5),
        ({"amount": "int"}, {"amount": 12}, 12.0),
        ({"id": "int"}, {}, 12.5),
        ({"card": ENUM}, {}, 12.5),
        ({"more": DECIMAL}, {"more": unscaled(-1)}, 12.5),
    ],
    ids=["decimal", "fixed", "float", "int for float", "int for long", "enum", "undeclared"],
)
def test_types_that_fit(registry, types, changes, amount):
    plain = {name: _without_logical(kind) for name, kind in types.items()}
    body = avro_body(avro_schema(**plain), GOOD | changes)
    value = frame(registry.register("AVRO", avro_schema(**types)), body)
    decoded = decoder(registry, "avro").decode([value])
    assert decoded.rejected == []
    assert decoded.events.values("amount") == [amount]


def _without_logical(kind):
    if isinstance(kind, dict):
        kept = {key: value for key, value in kind.items() if key != "logicalType"}
        return {key: _without_logical(value) for key, value in kept.items()}
    return [_without_logical(each) for each in kind] if isinstance(kind, list) else kind


@pytest.mark.parametrize(
    ("types", "changes", "reason", "field"),
    [
        ({"amount": "string"}, {"amount": "12,5"}, Reason.WRONG_TYPE, "amount"),
        ({"count": "double"}, {"count": 3.5}, Reason.WRONG_TYPE, "count"),
        ({"id": "double"}, {"id": 2.0**53}, Reason.NOT_EXACT, "id"),
        ({"id": "float"}, {"id": 2.0**24}, Reason.NOT_EXACT, "id"),
        ({}, {"time": NOW // 1000}, Reason.BEFORE_MIN_TIME, "time"),
        ({"count": "boolean"}, {"count": True}, Reason.WRONG_TYPE, "count"),
        ({"card": "bytes"}, {"card": b"c1"}, Reason.WRONG_TYPE, "card"),
        (
            {"card": {"type": {"type": "array", "items": "string"}}},
            {"card": ["c1"]},
            Reason.WRONG_TYPE,
            "card",
        ),
        ({"amount": ["null", "double"]}, {"amount": None}, Reason.NULL_FIELD, "amount"),
        ({}, {"amount": math.nan}, Reason.NOT_A_NUMBER, "amount"),
        ({}, {"amount": math.inf}, Reason.INFINITE, "amount"),
        ({}, {"amount": 1000.5}, Reason.OUT_OF_BOUNDS, "amount"),
        ({}, {"card": "123456789"}, Reason.TOO_LONG, "card"),
        ({}, {"time": 2**62}, Reason.BAD_TIME, "time"),
        ({}, {"time": NOW + 600_000}, Reason.FROM_THE_FUTURE, "time"),
    ],
)
def test_the_contract_holds(registry, types, changes, reason, field):
    good = avro(registry, GOOD)
    decoded = decoder(registry, "avro").decode(
        [good, avro(registry, GOOD | changes, **types), good]
    )
    assert one_reason(decoded) == (reason, field)
    assert decoded.positions.tolist() == [0, 2]


@pytest.mark.parametrize("number", [77, 4873214862074861313, -(2**63)])
def test_an_id_that_is_a_decimal_keeps_all_its_digits(number):
    kind = {"type": {"type": "bytes", "logicalType": "decimal", "precision": 19, "scale": 0}}
    body = avro_body(avro_schema(id="bytes"), GOOD | {"id": number.to_bytes(9, "big", signed=True)})
    registry = OneSchema("AVRO", avro_schema(id=kind))
    decoded = decoder(registry, "avro").decode([frame(1, body)])
    assert decoded.events.ids == [number]


def test_a_decimal_is_held_to_the_bounds_too():
    schema = avro_schema(amount=DECIMAL)
    body = avro_body(avro_schema(amount="bytes"), GOOD | {"amount": unscaled(100_050)})
    decoded = decoder(OneSchema("AVRO", schema), "avro").decode([frame(1, body)])
    assert one_reason(decoded) == (Reason.OUT_OF_BOUNDS, "amount")


def test_unbounded_floats_are_finite_too(registry):
    fields = {"amount": {"type": "float", "required": False}}
    for value, reason in ((math.nan, Reason.NOT_A_NUMBER), (-math.inf, Reason.INFINITE)):
        schema = avro_schema()
        values = [
            frame(1, avro_body(schema, GOOD | {"amount": each})) for each in (1.0, value, 2.0)
        ]
        values.insert(1, values[0][:-1])
        decoded = decoder(OneSchema("AVRO", schema), "avro", **fields).decode(values)
        assert [(bad.position, bad.reason) for bad in decoded.rejected] == [
            *((1, Reason.BAD_BODY), (2, reason))
        ]
        assert decoded.events.values("amount") == [1.0, 2.0]


def test_schemas_side_by_side_each_in_its_unit(registry):
    micros = {"type": {"type": "long", "logicalType": "timestamp-micros"}}
    values = [avro(registry, GOOD), avro(registry, GOOD | {"time": NOW * 1000}, time=micros)] * 2
    assert decoder(registry, "avro").decode(values).events.times.tolist() == [NOW] * 4
