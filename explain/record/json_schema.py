"""The JSON Schema of explanation records, made of the types that write and read them."""

import json
from pathlib import Path
from typing import Any

import msgspec

from explain.record.record import SCHEMAS, Record, Schema

_REF = "#/$defs/{name}"
_LOG_ODDS, _PROBABILITY = "in log-odds of fraud", "in probability of fraud"


def schema_file(schema: Schema) -> Path:
    """Where a schema is shipped; `schema_text` is what belongs in it."""
    number = schema.rpartition("/")[2]
    return Path(__file__).with_name("schemas") / f"explanation-{number}.json"


def record_schema(schema: Schema) -> dict[str, Any]:
    """The JSON Schema of records of one of `SCHEMAS`, of the draft 2020-12."""
    generated = msgspec.json.schema(Record)
    parts = {name: _first_sentence(part) for name, part in sorted(generated["$defs"].items())}
    record = parts.pop("Record")
    (explainer,) = (part.__name__ for part, own in SCHEMAS.items() if own == schema)
    for part in SCHEMAS:
        if part.__name__ != explainer:
            del parts[part.__name__]
    record["properties"] |= {
        "schema": {"enum": [schema]},
        "explainer": {"$ref": _REF.format(name=explainer)},
    }
    if schema == "weir.explanation/2":
        for name in ("AttributionPart", "ExplanationPart", "Reason"):
            parts[name] = _in_probability(parts[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{schema.replace('/', ':')}",
        **record,
        "title": schema,
        "$defs": parts,
    }


def schema_text(schema: Schema) -> str:
    """The content of `schema_file`."""
    return json.dumps(record_schema(schema), indent=2, ensure_ascii=False) + "\n"


def _in_probability(part: dict[str, Any]) -> dict[str, Any]:
    said = json.dumps(part).replace(_LOG_ODDS, _PROBABILITY)
    return dict(json.loads(said))


def _first_sentence(part: dict[str, Any]) -> dict[str, Any]:
    """A part without what its docstring says to programmers."""
    lines = part["description"].split("\n\n")[0].split()
    return part | {"description": " ".join(lines)}
