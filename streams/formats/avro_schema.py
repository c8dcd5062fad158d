"""Parses Avro schemas, and refuses those whose records could break their reader.

The records that name a schema are anybody's; what reads them runs in C, and keeps to no bounds of
its own.
"""

import json
from collections.abc import Mapping
from typing import Any

import fastavro

from streams.formats.reader import WrongSchemaError
from streams.formats.registry import Schema


def parse(schema: Schema) -> tuple[dict[str, dict[str, Any]], Any]:
    """Return the fields of a record's schema by name, and the schema as `fastavro` reads by it.

    The latter is without logical types: they cost time, and a decimal of many bytes costs hours.

    Raises:
        WrongSchemaError: it is no Avro schema of a record, or of one whose reading has no bounds.
    """
    named: dict[str, Any] = {}
    try:
        for text in schema.references.values():
            fastavro.parse_schema(_plain(json.loads(text)), named_schemas=named)
        written = json.loads(schema.text)
        parsed = fastavro.parse_schema(_plain(written), named_schemas=named)
        if not isinstance(written, dict) or written["type"] != "record":
            raise WrongSchemaError("it is an Avro schema, but of no record")
        _Walk(named).can_be_empty(parsed)
        fields = {field["name"]: field for field in written["fields"]}
    except WrongSchemaError:
        raise
    except Exception as error:  # a schema is a stranger's, too
        raise WrongSchemaError(f"it is no Avro schema: {type(error).__name__} {error}") from error
    return fields, parsed


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if key != "logicalType"}
    return schema


class _Walk:
    """Looks through a schema for what can be read without end.

    A type within itself nests as deep as a record has bytes, which overflows the stack of the
    process. An array of what takes no bytes has as many items as a record says.
    """

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._empty: dict[str, bool] = {}
        self._open: set[str] = set()

    def can_be_empty(self, schema: Any) -> bool:
        """Whether a value may take no bytes at all.

        Raises:
            WrongSchemaError: it can be read without end.
        """
        if isinstance(schema, str):
            named = self._named.get(schema)
            return schema == "null" if named is None else self.can_be_empty(named)
        if isinstance(schema, list):
            for branch in schema:
                self.can_be_empty(branch)
            return False  # the number of the branch takes a byte
        match schema["type"]:
            case "array":
                if self.can_be_empty(schema["items"]):
                    raise WrongSchemaError("it has an array of what takes no bytes")
                return False
            case "map":
                self.can_be_empty(schema["values"])
                return False
            case "fixed":
                return bool(schema["size"] == 0)
            case "enum":
                return False
            case "record" | "error":
                return self._record_can_be_empty(schema)
            case inner:
                return self.can_be_empty(inner)

    def _record_can_be_empty(self, schema: Mapping[str, Any]) -> bool:
        name = schema["name"]
        if name in self._open:
            raise WrongSchemaError(f"{name!r} holds itself, and would nest without end")
        if name not in self._empty:
            self._open.add(name)
            fields = [self.can_be_empty(field["type"]) for field in schema["fields"]]
            self._empty[name] = all(fields)
            self._open.discard(name)
        return self._empty[name]
