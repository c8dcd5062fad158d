"""The JSON Schemas of what stands on the topic of comparisons, made of the types that read it."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import create_model

from inference.canary.gate_record import GateRecord
from inference.gates.record import ComparisonRecord
from weir.dossier.found import CanaryFigures, Found

Kind = Literal["comparison", "canary"]

_RECORDS = {
    "comparison": create_model("Comparison", __base__=ComparisonRecord, found=(Found, ...)),
    "canary": create_model("Canary", __base__=GateRecord, evidence=(CanaryFigures, ...)),
}


def schema_file(kind: Kind) -> Path:
    """Where a schema is shipped; `schema_text` is what belongs in it."""
    return Path(__file__).with_name("schemas") / f"{kind}.json"


def comparisons_schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema of records under ``shadow/NAME``, or an experiment's name; draft 2020-12."""
    schema = _RECORDS[kind].model_json_schema(mode="serialization")
    parts = {name: _described(part) for name, part in sorted(schema.pop("$defs").items())}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:weir.comparisons:{kind}",
        **_described(schema),
        "$defs": parts,
    }


def schema_text(kind: Kind) -> str:
    """The content of `schema_file`."""
    return json.dumps(comparisons_schema(kind), indent=2, ensure_ascii=False) + "\n"


def _described(part: dict[str, Any]) -> dict[str, Any]:
    """A part without what its docstring says to programmers."""
    lines = part.get("description", "").split("\n\n")[0].split()
    return part | ({"description": " ".join(lines)} if lines else {})
