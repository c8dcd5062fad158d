"""JSON bodies held against the schemas that they name, hostile ones among them."""

import json
import socket
import time
from typing import Any

import jsonschema
import pytest
from framed_records import GOOD, NOW, OneSchema, contract, decoder, frame
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events.rejection import Reason
from streams.formats.framed import FramedDecoder
from streams.formats.json_validator import MOST_STEPS, Validator
from streams.formats.reader import WrongSchemaError
from streams.formats.registry import Schema

PAYMENT: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$id": "https://example.com/payment.json",
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "card": {"type": "string", "pattern": "^c[0-9]+$"},
        "amount": {"$ref": "#/definitions/amount"},
        "items": {"type": "array", "items": {"$ref": "item.json"}, "maxItems": 3},
    },
    "required": ["id", "amount"],
    "not": {"required": ["forbidden"]},
    "definitions": {"amount": {"type": "number", "exclusiveMinimum": 0}},
}
ITEM = {"type": "object", "required": ["sku"], "properties": {"sku": {"enum": ["a", "b"]}}}
SCHEMA = Schema("JSON", json.dumps(PAYMENT), {"item.json": json.dumps(ITEM)})


class WithReferences(OneSchema):
    def __init__(self, schema: Schema) -> None:
        self._schema = schema


def rejected(event: dict[str, Any], *, validate_json: bool = True) -> list[Any]:
    one = FramedDecoder(
        contract("json_schema"), WithReferences(SCHEMA), lambda: NOW, validate_json=validate_json
    )
    frames = [frame(1, json.dumps(each).encode()) for each in (GOOD, event, GOOD)]
    found = one.decode(frames)
    assert set(found.positions.tolist()) >= {0, 2}
    return [(bad.position, bad.reason, bad.field, bad.detail) for bad in found.rejected]


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"items": [{"sku": "a"}] * 4}, "items", "items: it has more than 3 items"),
        ({"card": "x1"}, "card", 'card: it does not match "^c[0-9]+$"'),
        ({"items": [{"sku": "a"}, {"sku": "z"}]}, "items", "items.1.sku: it is not one of "),
        ({"items": [{}]}, "items", 'items.0: "sku" is a required property'),
        ({"forbidden": 1}, None, "is not allowed for it"),
    ],
)
def test_a_breach_is_named_and_the_others_are_read(
    change: dict[str, Any], field: str | None, detail: str
) -> None:
    event = GOOD | change
    ((position, reason, where, said),) = rejected(event)
    assert (position, reason, where) == (1, Reason.BREAKS_SCHEMA, field)
    assert detail in said
    assert "x1" not in said
    assert rejected(event, validate_json=False) == []


def test_the_contract_judges_first() -> None:
    ((_, reason, field, _),) = rejected(GOOD | {"amount": "much", "card": "x1"})
    assert (reason, field) == (Reason.WRONG_TYPE, "amount")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.sampled_from("abc1"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "card", "amount", "items", "sku"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_another_library_says_the_same(value: Any) -> None:
    inlined = json.loads(json.dumps(PAYMENT).replace('{"$ref": "item.json"}', json.dumps(ITEM)))
    body = json.dumps(value).encode()
    validator = Validator(SCHEMA)
    expected = jsonschema.Draft7Validator(inlined).is_valid(value)
    assert validator.keeps(body) == expected
    assert (validator.breach(body) is None) == expected


def nested(levels: int) -> dict[str, Any]:
    """Each of these refers twice to the next."""
    refs = [[{"$ref": f"#/$defs/{i + 1}"}] * 2 for i in range(levels)]
    defs: dict[str, Any] = {str(i): {"anyOf": both} for i, both in enumerate(refs)}
    return {"$ref": "#/$defs/0", "$defs": defs | {str(levels): {"type": "string"}}}


RECURSIVE = {"properties": {"x": {"anyOf": [{"items": {"$ref": "#"}}, {"$ref": "#"}]}}}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"$ref": "#"}, "refers to itself"),
        (RECURSIVE, "refers to itself"),
        ({"properties": {"default": RECURSIVE}}, "refers to itself"),
        (nested(30), f"more than {MOST_STEPS} subschemas"),
        ({"anyOf": [{"minimum": i} for i in range(MOST_STEPS)]}, f"more than {MOST_STEPS}"),
        ({"$ref": "file:///etc/passwd"}, "the registry does not list"),
        ({"$ref": "other.json"}, "the registry does not list"),
        ({"$ref": "#/definitions/none"}, "which is not there"),
        ({"$ref": "#anchor"}, "only paths such as"),
        ({"properties": {"a": {"$id": "http://x/", "$ref": "#"}}}, "not supported here"),
        ({"$dynamicRef": "#a"}, "not supported here"),
        ({"$schema": "http://example.com/mine"}, "no JSON Schema"),
        ({"type": "nonsense"}, "no JSON Schema"),
        ({"pattern": "("}, "no JSON Schema"),
        ({"pattern": "((a{999}){999}){999}"}, "no JSON Schema"),
        ([], "no JSON Schema"),
    ],
    ids=range(16),
)
def test_schemas_that_are_refused(schema: Any, why: str) -> None:
    start = time.process_time()
    with pytest.raises(WrongSchemaError, match=why):
        Validator(Schema("JSON", json.dumps(schema), {}))
    assert time.process_time() - start < 5
    one = decoder(OneSchema("JSON", json.dumps(schema)), "json_schema")
    (bad,) = one.decode([frame(1, json.dumps(GOOD).encode())]).rejected
    assert bad.reason == Reason.WRONG_SCHEMA


def test_nothing_is_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.json"
        for schema in ({"$ref": url}, {"$schema": url}, {"$id": url, "$ref": "b.json"}):
            with pytest.raises(WrongSchemaError):
                Validator(Schema("JSON", json.dumps(schema), {}))
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("pattern", ["^(a+)+$", r"^(a|a)*\1b$", r"^(?=(a+)+$)(a+)+$"])
def test_a_pattern_that_would_take_for_ever(pattern: str) -> None:
    validator = Validator(Schema("JSON", json.dumps({"pattern": pattern}), {}))
    start = time.process_time()
    assert not validator.keeps(json.dumps("a" * 5_000 + "c").encode())
    assert time.process_time() - start < 5


def test_a_body_with_a_number_that_nothing_holds() -> None:
    validator = Validator(Schema("JSON", "{}", {}))
    finding = validator.breach(b'{"more": 1e999}')
    assert finding is not None
    assert finding.reason == Reason.BREAKS_SCHEMA
    assert "can't be held against its schema" in finding.detail
