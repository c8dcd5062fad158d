"""The JSON Schema of explanation records, made of the types that write and read them."""

import json
from pathlib import Path
from typing import Any

import msgspec

from explain.record.parts import LimeExplainerPart
from explain.record.record import SCHEMAS, Record, Schema

_REF = "#/$defs/{name}"
_OPEN, _SEALED = ("partition", "offset"), ("place",)
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
    ((explainer, sealed),) = (key for key, own in SCHEMAS.items() if own == schema)
    for other in {part for part, _ in SCHEMAS} - {explainer}:
        del parts[other.__name__]
    record["properties"] |= {
        "schema": {"enum": [schema]},
        "explainer": {"$ref": _REF.format(name=explainer.__name__)},
    }
    parts["EventPart"] = _placed(parts["EventPart"], sealed)
    if explainer is LimeExplainerPart:
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


def _placed(event: dict[str, Any], sealed: bool) -> dict[str, Any]:
    """The event's part with a sealed place and a key, or with an open place."""
    properties = dict(event["properties"])
    there, absent = (_SEALED, _OPEN) if sealed else (_OPEN, _SEALED)
    for name in absent:
        del properties[name]
    for name in (*there, "key") if sealed else there:
        properties[name] = properties[name]["anyOf"][0]  # the other is null
    return event | {"properties": properties, "required": list(properties)}


def _in_probability(part: dict[str, Any]) -> dict[str, Any]:
    said = json.dumps(part).replace(_LOG_ODDS, _PROBABILITY)
    return dict(json.loads(said))


def _first_sentence(part: dict[str, Any]) -> dict[str, Any]:
    """A part without what its docstring says to programmers."""
    lines = part["description"].split("\n\n")[0].split()
    return part | {"description": " ".join(lines)}
