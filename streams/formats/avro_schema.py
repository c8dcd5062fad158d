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

_MOST_OF_NOTHING = 1_000
_DEEPEST = 100
"""As many levels as Protobuf's own library reads; thousands overflow the stack of the process."""


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
        walk = _Walk(named)
        walk.values_of_nothing(parsed)
        if walk.levels(parsed) > _DEEPEST:
            raise WrongSchemaError(f"its records nest deeper than {_DEEPEST} levels")
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
    process. An array of what takes no bytes has as many items as a record says. Records of nothing
    but records of nothing, each twice in the next, are doubled by every level.
    """

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._of_records: dict[str, int] = {}
        self._levels: dict[str, int] = {}
        self._open: set[str] = set()

    def values_of_nothing(self, schema: Any) -> int:
        """How many values are read where none takes a byte; 0 if one does.

        Raises:
            WrongSchemaError: it can be read without end.
        """
        if isinstance(schema, str):
            if schema in self._named:
                return self.values_of_nothing(self._named[schema])
            return int(schema == "null")
        if isinstance(schema, list):
            for branch in schema:
                self.values_of_nothing(branch)
            return 0  # the number of the branch takes a byte
        match schema["type"]:
            case "array":
                if self.values_of_nothing(schema["items"]):
                    raise WrongSchemaError("it has an array of what takes no bytes")
                return 0
            case "map":
                self.values_of_nothing(schema["values"])
                return 0
            case "fixed":
                return int(schema["size"] == 0)
            case "enum":
                return 0
            case "record" | "error":
                return self._of_record(schema)
            case inner:
                return self.values_of_nothing(inner)

    def levels(self, schema: Any) -> int:
        """How deep a value nests, at most; of a schema in which no type holds itself."""
        if isinstance(schema, str):
            return self.levels(self._named[schema]) if schema in self._named else 0
        if isinstance(schema, list):
            return 1 + max(map(self.levels, schema), default=0)
        match schema["type"]:
            case "array":
                return 1 + self.levels(schema["items"])
            case "map":
                return 1 + self.levels(schema["values"])
            case "enum" | "fixed":
                return 0
            case "record" | "error":
                name = schema["name"]
                if name not in self._levels:
                    fields = (self.levels(field["type"]) for field in schema["fields"])
                    self._levels[name] = 1 + max(fields, default=0)
                return self._levels[name]
            case inner:
                return self.levels(inner)

    def _of_record(self, schema: Mapping[str, Any]) -> int:
        name = schema["name"]
        if name in self._open:
            raise WrongSchemaError(f"{name!r} holds itself, and would nest without end")
        if name not in self._of_records:
            self._open.add(name)
            fields = [self.values_of_nothing(field["type"]) for field in schema["fields"]]
            self._open.discard(name)
            self._of_records[name] = 1 + sum(fields) if all(fields) else 0
        if self._of_records[name] > _MOST_OF_NOTHING:
            raise WrongSchemaError(
                f"{name!r} has more than {_MOST_OF_NOTHING:,} values of no bytes"
            )
        return self._of_records[name]
