"""Avro: records read with their writer's schema, checked against the contract."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from io import BytesIO
from typing import Any, Literal

import fastavro
import msgspec

from streams.events.contract import EventContract
from streams.events.field_checks import read_fields
from streams.events.json_decoder import record_type
from streams.events.rejection import Finding
from streams.events.values import Single
from streams.formats.avro_schema import parse
from streams.formats.reader import HEADER_BYTES, BadBodyError, WrongSchemaError, bad_body
from streams.formats.registry import Schema

_UNITS: dict[str, Literal["ms", "us"]] = {
    "timestamp-millis": "ms",
    "timestamp-micros": "us",
    "local-timestamp-millis": "ms",
    "local-timestamp-micros": "us",
}
_LONGEST_DECIMAL = 64  # bytes; 38 digits, the most that databases have, take 16
_MOST_SCALE = 300  # of what Python divides by: beyond a double it does not


class AvroReader:
    """Reads the records of one Avro schema.

    A field is found by its name or, if it was renamed, by an alias that it has there. A
    ``timestamp-…`` says its unit itself; ``event.time_format`` is for a plain integer or string.

    Raises:
        WrongSchemaError: it is no Avro schema of a record, or of one whose reading has no bounds.
    """

    def __init__(self, schema: Schema, contract: EventContract) -> None:
        fields, self._schema = parse(schema)
        aliases = {
            alias: name
            for name, field in fields.items()
            if isinstance(field.get("aliases"), list)
            for alias in map(str, field["aliases"])
        }
        self._names = {
            name: name if name in fields else aliases.get(name, name)
            for name in (contract.time, *contract.fields)
        }
        self.contract = contract
        time = fields.get(self._names[contract.time])
        if time is not None and (unit := _unit(time)) is not None:
            self.contract = contract.model_copy(update={"time_format": unit})
        self._decimals = [
            (own, scale, contract.fields[name].type)
            for name, own in self._names.items()
            if name in contract.fields
            and own in fields
            and (scale := _decimal_scale(fields[own])) is not None
        ]
        self._singles = [
            own
            for name, own in self._names.items()
            if own in fields and "float" in _branches(fields[own]) and not _is_float(contract, name)
        ]
        self.type = record_type(self.contract, self._names)

    def reader_of(self, frame: bytes) -> "AvroReader":
        """Every record of an Avro schema is read alike."""
        return self

    def record(self, frame: bytes) -> Any:
        """Return the record in a frame."""
        return msgspec.convert(self._fields(frame), self.type)

    def second_look(self, frame: bytes, now_ms: int) -> dict[str, Any] | Finding:
        """Return the fields of a record that is written otherwise, or what is wrong with it."""
        try:
            fields = self._fields(frame)
        except Exception as error:  # whatever the library makes of garbage
            return bad_body(error)
        named = {name: fields[own] for name, own in self._names.items() if own in fields}
        return read_fields(self.contract, named.items(), now_ms)

    def _fields(self, frame: bytes) -> Mapping[str, Any]:
        stream = BytesIO(frame)
        stream.seek(HEADER_BYTES)
        fields: Any = fastavro.schemaless_reader(stream, self._schema, None)
        left = len(frame) - stream.tell()
        if left:
            raise BadBodyError(f"the record has {left:,} bytes more than its schema says")
        for name, scale, wanted in self._decimals:
            if isinstance(fields[name], bytes):
                fields[name] = _decimal(fields[name], scale, wanted)
        for name in self._singles:
            if isinstance(fields[name], float):
                fields[name] = Single(fields[name])
        return fields  # type: ignore[no-any-return]


def _decimal(unscaled: bytes, scale: int, wanted: str) -> float | Decimal | int:
    """A decimal as it is, or at once as what is wanted, which is the same."""
    if len(unscaled) > _LONGEST_DECIMAL:
        raise BadBodyError(f"the record has a decimal of {len(unscaled):,} bytes")
    digits = int.from_bytes(unscaled, "big", signed=True)
    if wanted == "int" and scale == 0:
        return digits
    if wanted == "float" and scale < _MOST_SCALE:
        return digits / int(10**scale)
    return Decimal(f"{digits}e-{scale}")


def _decimal_scale(field: Mapping[str, Any]) -> int | None:
    for kind, branch in _logical_types(field):
        if kind == "decimal" and isinstance(scale := branch.get("scale", 0), int) and scale >= 0:
            return scale
    return None


def _unit(time: Mapping[str, Any]) -> Literal["ms", "us"] | None:
    """The unit that the schema gives the time, None if it gives none.

    Raises:
        WrongSchemaError: what it says of the time is no unit that we know.
    """
    for kind, _ in _logical_types(time):
        if kind not in _UNITS:
            raise WrongSchemaError(f"its time {time['name']!r} is a {kind}, no timestamp")
        return _UNITS[kind]
    return None


def _logical_types(field: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The logical types of a field, in a union those of its branches, with their definitions."""
    for branch in _branches(field):
        if isinstance(branch, dict) and isinstance(kind := branch.get("logicalType"), str):
            yield kind, branch


def _branches(field: Mapping[str, Any]) -> list[Any]:
    return field["type"] if isinstance(field["type"], list) else [field["type"]]


def _is_float(contract: EventContract, name: str) -> bool:
    return name in contract.fields and contract.fields[name].type == "float"
