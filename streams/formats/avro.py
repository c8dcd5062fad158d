"""Avro: records read with their writer's schema, checked against the contract."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Literal

import fastavro
import msgspec

from streams.contract import EventContract
from streams.decode import record_type
from streams.formats.reader import (
    HEADER_BYTES,
    BadBodyError,
    WrongSchemaError,
    bad_body,
    renamed,
)
from streams.formats.registry import Schema
from streams.rejection import Finding, check_fields

_UNITS: dict[str, Literal["ms", "us"]] = {
    "timestamp-millis": "ms",
    "timestamp-micros": "us",
    "local-timestamp-millis": "ms",
    "local-timestamp-micros": "us",
}


class AvroReader:
    """Reads the records of one Avro schema.

    A field is found by its name or, if it was renamed, by an alias that it has there. A
    ``timestamp-…`` says its unit itself; ``event.time_format`` is for a plain integer or string.

    Raises:
        WrongSchemaError: it is no Avro schema of a record.
    """

    def __init__(self, schema: Schema, contract: EventContract) -> None:
        try:
            named: dict[str, Any] = {}
            for text in reversed(schema.references.values()):
                fastavro.parse_schema(_plain(json.loads(text)), named_schemas=named)
            written = json.loads(schema.text)
            self._schema = fastavro.parse_schema(_plain(written), named_schemas=named)
        except Exception as error:  # a schema is a stranger's, too
            raise WrongSchemaError(f"it is no Avro schema: {error}") from error
        if not isinstance(written, dict) or written.get("type") != "record":
            raise WrongSchemaError("it is an Avro schema, but of no record")
        self._names, unit = _names_and_unit(written, contract)
        self.contract = contract.model_copy(update={"time_format": unit}) if unit else contract
        self._type = record_type(self.contract, self._names)

    def record(self, frame: bytes) -> Any:
        """Return the record in a frame."""
        return msgspec.convert(self._body(frame), self._type)

    def explain(self, frame: bytes, now_ms: int) -> Finding | None:
        """Return what is wrong with a frame."""
        try:
            fields = self._body(frame)
        except Exception as error:  # whatever the library makes of garbage
            return bad_body(error)
        return check_fields(self.contract, renamed(fields, self._names), now_ms)

    def _body(self, frame: bytes) -> Mapping[str, Any]:
        stream = BytesIO(frame)
        stream.seek(HEADER_BYTES)
        fields: Any = fastavro.schemaless_reader(stream, self._schema, None)
        left = len(frame) - stream.tell()
        if left:
            raise BadBodyError(f"the record has {left:,} bytes more than its schema says")
        return fields  # type: ignore[no-any-return]


def _names_and_unit(
    written: dict[str, Any], contract: EventContract
) -> tuple[dict[str, str], Literal["ms", "us"] | None]:
    """What the writer calls the contract's fields, and the unit that it gives the time."""
    fields = {field["name"]: field for field in written["fields"]}
    aliases = {alias: name for name in fields for alias in fields[name].get("aliases", ())}
    names = {
        name: name if name in fields else aliases.get(name, name)
        for name in (contract.time, *contract.fields)
    }
    branches = fields.get(names[contract.time], {}).get("type")
    for branch in branches if isinstance(branches, list) else [branches]:
        if isinstance(branch, dict) and (unit := _UNITS.get(branch.get("logicalType", ""))):
            return names, unit
    return names, None


def _plain(schema: Any) -> Any:
    """The schema without the logical types that would cost time: all but decimals."""
    if isinstance(schema, list):
        return [_plain(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {
        key: value for key, value in schema.items() if key != "logicalType" or value == "decimal"
    }
    for key in ("type", "items", "values"):
        if key in plain:
            plain[key] = _plain(plain[key])
    if isinstance(plain.get("fields"), list):
        plain["fields"] = [_plain(field) for field in plain["fields"]]
    return plain
