"""Schemas as nobody in their right mind registers them: for property tests and the campaign."""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

NAMES = (
    *("", ".", "..", "a", "a/b", "a/b/c", "/a", "../a", "a//b", "\0", "\ud800", "é", "a" * 300),
    *("weir_record.proto", "google/protobuf/timestamp.proto", "google/protobuf/any.proto"),
    *("\n", "-I/", "--x", "a\\b", "C:a", "~", "order.json", "given.bin", "x" * 50_000, "#", "$id"),
)
"""What a reference may be called."""
_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
_WORDS = st.sampled_from([*NAMES[:20], "id", "time", "int", "string", "null"]) | _TEXT
_NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**63, 10**400, 1e308, -0.0, 0.1]) | st.integers()
_REPEATS = st.sampled_from([1, 2, 10, 100, 1_000, 20_000])


class Hostile(NamedTuple):
    """A schema, what it refers to, and the body of a record that names it."""

    kind: str
    text: str
    references: dict[str, str]
    body: bytes


@st.composite
def hostile(
    draw: Any, *, avro: bool = True, protobuf: bool = True, json_schema: bool = True
) -> Hostile:
    """Return a schema of one of the formats that are wanted."""
    kinds = [("AVRO", avro), ("PROTOBUF", protobuf), ("JSON", json_schema)]
    kind = draw(st.sampled_from([kind for kind, wanted in kinds if wanted]))
    texts = {"AVRO": _avro, "PROTOBUF": _protobuf, "JSON": _json}[kind]
    names = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
    text = draw(texts(names))
    references = {name: draw(texts(names)) for name in names}
    body = draw(
        st.sampled_from([b"\0\x08\x01\x10\x01", b"{}", b"\0", b"\x02" * 500, b"[" * 500])
        | st.binary(min_size=1, max_size=200)
    )
    return Hostile(kind, text, references, body)


@st.composite
def _damaged(draw: Any, texts: st.SearchStrategy[str]) -> str:
    """A text, whole, cut, repeated, or with something in it."""
    text = draw(texts)
    match draw(st.integers(0, 7)):
        case 0:
            return text[: draw(st.integers(0, len(text)))]
        case 1:
            at = draw(st.integers(0, len(text)))
            return text[:at] + draw(_TEXT) + text[at:]
        case 2:
            return text * min(draw(_REPEATS), 300_000 // max(1, len(text)))
        case _:
            return text


def _avro(names: Sequence[str]) -> st.SearchStrategy[str]:
    words = st.sampled_from([*names, "x"]) | _WORDS
    leaves = words | _NUMBERS | st.none() | st.booleans()
    schemas = st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.fixed_dictionaries(
                {"type": st.sampled_from(["array", "map", "record", "enum", "fixed", "error"])},
                optional={
                    "name": words,
                    "namespace": words,
                    "items": inner,
                    "values": inner,
                    "size": _NUMBERS,
                    "symbols": st.lists(words, max_size=5) | inner,
                    "default": inner,
                    "aliases": st.lists(words, max_size=3) | inner,
                    "logicalType": words | st.sampled_from(["decimal", "timestamp-millis", "uuid"]),
                    "scale": _NUMBERS,
                    "fields": st.lists(
                        st.fixed_dictionaries({"name": words, "type": inner}), max_size=5
                    )
                    | inner,
                },
            ),
        ),
        max_leaves=25,
    )
    deep = st.builds(
        lambda depth: '{"type":"array","items":' * depth + '"int"' + "}" * depth, _REPEATS
    )
    chain = st.builds(_chain, _REPEATS)
    return _damaged(schemas.map(json.dumps) | deep | chain)


def _chain(length: int) -> str:
    """Records of which each holds the one before, by its name."""
    fields = [
        {
            "name": f"f{i}",
            "type": {
                "type": "record",
                "name": f"R{i}",
                "fields": [{"name": "a", "type": f"R{i - 1}" if i else "int"}],
            },
        }
        for i in range(min(length, 2_000))
    ]
    return json.dumps({"type": "record", "name": "R", "fields": fields})


def _json(names: Sequence[str]) -> st.SearchStrategy[str]:
    words = st.sampled_from([*names, "#", "#/definitions/a", "#/$defs/a"]) | _WORDS
    patterns = st.sampled_from(
        ["(a*)*b", "(a{1,1000}){1,1000}", "(?=(a|aa)+$)b", r"(.*)\1", "[", "(?R)", "\\p{L}" * 500]
    )
    leaves = words | _NUMBERS | st.none() | st.booleans() | patterns
    keys = st.sampled_from(
        [
            *("$ref", "$id", "$dynamicRef", "$schema", "properties", "patternProperties", "items"),
            *("allOf", "anyOf", "not", "if", "enum", "const", "pattern", "definitions", "$defs"),
            *("type", "minimum", "multipleOf", "maxLength", "required", "additionalProperties"),
        ]
    )
    schemas = st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(keys | words | patterns, inner, max_size=5)
        ),
        max_leaves=30,
    )
    deep = st.builds(lambda depth: '{"not":' * depth + "{}" + "}" * depth, _REPEATS)
    doubled = st.builds(
        lambda depth: json.dumps(
            {
                "$ref": f"#/definitions/a{depth}",
                "definitions": {
                    f"a{i + 1}": {"allOf": [{"$ref": f"#/definitions/a{i}"}] * 2}
                    for i in range(depth)
                }
                | {"a0": {}},
            }
        ),
        st.sampled_from([5, 60]),
    )
    return _damaged(schemas.map(json.dumps) | deep | doubled)


def _protobuf(names: Sequence[str]) -> st.SearchStrategy[str]:
    imports = st.lists(
        st.sampled_from([*names, "x", "/etc/passwd", "../described.json", "weir_record.proto"]),
        max_size=3,
    ).map(lambda each: "".join(f"import {json.dumps(name)};" for name in each))
    statements = st.sampled_from(
        [
            "message A {int64 id=1; int64 time=2;}",
            "message A {A a=1; map<string, A> m=2; oneof o {A b=3; bytes c=4;}}",
            "message " + "a" * 5_000 + "{}",
            "message A {" * 40 + "}" * 40,
            "message A {" + "".join(f"int32 a{i}={i + 1};" for i in range(2_000)) + "}",
            "message A {" + "".join(f"message B{i}{{}}" for i in range(2_000)) + "}",
            "message A {reserved " + ",".join(f"{2 * i + 1}" for i in range(5_000)) + ";}",
            "enum E {" + "".join(f"e{i}={i};" for i in range(2_000)) + "}",
            "enum E {option allow_alias=true; a=0; b=0;}",
            "extend google.protobuf.FileOptions {string x=50000;}",
            'option java_package="' + "\\x41" * 1_000 + '";',
            "package google.protobuf;",
            "service S {rpc R(A) returns (stream A);}",
            "message A {int64 id=536870912;}",
            "message A {optional group G=1 {}}",
            "/*" * 2_000,
            "{" * 5_000,
            "option features.field_presence = IMPLICIT;",
        ]
    )
    heads = st.sampled_from(['syntax="proto3";', 'syntax="proto2";', 'edition="2023";', ""])
    files = st.builds(
        lambda head, imported, parts: head + imported + "".join(parts),
        heads,
        imports,
        st.lists(statements, max_size=4),
    )
    described = st.binary(max_size=60).map(lambda raw: b64encode(raw).decode())
    return _damaged(files | described)
