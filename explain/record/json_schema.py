"""The JSON Schema of explanation records, made of the types that write and read them."""

import json
from pathlib import Path
from typing import Any

import msgspec

from explain.record.record import SCHEMA, Record

SCHEMA_FILE = Path(__file__).with_name("schemas") / "explanation-1.json"
"""What is shipped; `schema_text` is what belongs in it."""


def record_schema() -> dict[str, Any]:
    """The schema of `SCHEMA`, of JSON Schema's draft 2020-12."""
    generated = msgspec.json.schema(Record)
    parts = {name: _first_sentence(part) for name, part in sorted(generated["$defs"].items())}
    record = parts.pop("Record")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        **record,
        "title": SCHEMA,
        "$defs": parts,
    }


def schema_text() -> str:
    """The content of `SCHEMA_FILE`."""
    return json.dumps(record_schema(), indent=2, ensure_ascii=False) + "\n"


def _first_sentence(part: dict[str, Any]) -> dict[str, Any]:
    """A part without what its docstring says to programmers."""
    lines = part["description"].split("\n\n")[0].split()
    return part | {"description": " ".join(lines)}
