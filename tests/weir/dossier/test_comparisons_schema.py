"""The JSON Schemas of what stands on the topic of comparisons."""

import json

import jsonschema
import pytest
from dossier_world import look, step

from weir.dossier.json_schema import Kind, comparisons_schema, schema_file, schema_text

KINDS: tuple[Kind, ...] = ("comparison", "canary")


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_file_is_that_of_the_types(kind: Kind) -> None:
    assert schema_file(kind).read_text(encoding="utf-8") == schema_text(kind), (
        "write it anew: python -c 'from weir.dossier.json_schema import *; "
        f'schema_file("{kind}").write_text(schema_text("{kind}"), encoding="utf-8")\''
    )
    jsonschema.Draft202012Validator.check_schema(comparisons_schema(kind))
    assert "Attributes" not in schema_text(kind)


def test_records_as_they_are_written_fit() -> None:
    validators = {kind: jsonschema.Draft202012Validator(comparisons_schema(kind)) for kind in KINDS}
    records: dict[Kind, str] = {
        "comparison": look(2_000).model_dump_json(),
        "canary": step(0.05, "step", "it is well", 1).model_dump_json(),
    }
    for kind, record in records.items():
        values = json.loads(record)
        validators[kind].validate(values)
        other = next(each for each in KINDS if each != kind)
        assert not validators[other].is_valid(values)
        assert not validators[kind].is_valid(values | {"at": "yesterday"})
