"""Decodes records in Confluent's wire format: a zero byte, the schema's id, and the body."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.contract import EventContract
from streams.decode import Decoder, time_of
from streams.formats.reader import HEADER_BYTES, SchemaReader, WrongSchemaError
from streams.formats.registry import Schema, SchemaRegistry, UnknownSchemaError
from streams.rejection import Finding, Reason, Rejected, check_fields, check_size


class FramedDecoder(Decoder):
    """A `Decoder` of records whose schemas are in a registry.

    Each schema is compiled once and kept. An id that is not known yet while the registry is down
    makes `decode` raise `RegistryUnavailableError`: decode the batch again later.

    Args:
        contract: what a record must hold, and its format.
        registry: is asked once for each id.
        now_ms: as for `Decoder`.
    """

    def __init__(
        self,
        contract: EventContract,
        registry: SchemaRegistry,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(contract, now_ms)
        self._registry = registry
        self._kind, self._new_reader = _format(contract.format)
        self._readers: dict[bytes, SchemaReader | Finding] = {}
        self._floats = [
            (name, self.getter(name))
            for name, field in contract.fields.items()
            if field.type == "float"
        ]

    def _read(
        self, values: Sequence[bytes | None], arrived_ms: NDArray[np.int64]
    ) -> tuple[list[Any], NDArray[np.int64], list[Rejected]]:
        records: list[Any] = []
        rejected: list[Rejected] = []
        places: list[int] = []
        by_reader: dict[int, tuple[SchemaReader, list[int]]] = {}
        for position, value in enumerate(values):
            reader = self._reader(value)
            if not isinstance(reader, tuple):
                try:
                    records.append(reader.record(value))  # type: ignore[arg-type]
                except Exception as error:  # a record must not fail its neighbours
                    finding = reader.explain(value, int(arrived_ms[position]))  # type: ignore[arg-type]
                    if finding is None:
                        detail = f"the record breaks the contract: {error}"[:150]
                        finding = Finding(Reason.WRONG_TYPE, None, detail)
                    rejected.append(Rejected(position, *finding))
                else:
                    group = by_reader.setdefault(id(reader), (reader, []))
                    group[1].append(len(places))
                    places.append(position)
            else:
                rejected.append(Rejected(position, *reader))
        times = np.empty(len(records), np.int64)
        contracts: list[EventContract] = [self._contract] * len(records)
        for reader, indexes in by_reader.values():
            times[indexes] = reader.contract.times_ms([time_of(records[i]) for i in indexes])
            if reader.contract is not self._contract:
                for i in indexes:
                    contracts[i] = reader.contract
        infinite = self._not_finite(records)
        if infinite:
            for i in infinite:
                finding = check_fields(
                    contracts[i], self._fields(records[i]), int(arrived_ms[places[i]])
                )
                assert finding is not None
                rejected.append(Rejected(places[i], *finding))
            rejected.sort(key=lambda bad: bad.position)
            good = sorted(set(range(len(records))) - infinite)
            return [records[i] for i in good], times[good], rejected
        return records, times, rejected

    def _reader(self, value: bytes | None) -> SchemaReader | Finding:
        if value is None or not HEADER_BYTES <= len(value) <= self._contract.max_bytes:
            return check_size(self._contract, value) or _short(value)
        if len(value) == HEADER_BYTES or value[0] != 0:
            return _short(value)
        header = value[:HEADER_BYTES]
        known = self._readers.get(header)
        if known is not None:
            return known
        schema_id = int.from_bytes(header[1:], "big")
        try:
            schema = self._registry.schema(schema_id)
        except UnknownSchemaError:
            # Not kept here: the registry's client forgets it after a while, and asks again.
            detail = f"the schema registry knows no schema {schema_id}"
            return Finding(Reason.UNKNOWN_SCHEMA, None, detail)
        reader = self._readers[header] = self._compile(schema_id, schema)
        return reader

    def _compile(self, schema_id: int, schema: Schema) -> SchemaReader | Finding:
        wrong = f"schema {schema_id} is no schema of events"
        if schema.kind != self._kind:
            detail = f"{wrong}: it is {schema.kind}, and event.format says {self._contract.format}"
            return Finding(Reason.WRONG_SCHEMA, None, detail)
        try:
            return self._new_reader(schema, self._contract)
        except WrongSchemaError as error:
            return Finding(Reason.WRONG_SCHEMA, None, f"{wrong}: {error}"[:180])

    def _not_finite(self, records: list[Any]) -> set[int]:
        """Positions of records with a NaN or an infinity, which no contract allows."""
        found: set[int] = set()
        for _, get in self._floats:
            column = list(map(get, records))
            for i in np.flatnonzero(~np.isfinite(np.array(column, np.float64))).tolist():
                if column[i] is not None:
                    found.add(i)
        return found

    def _fields(self, record: Any) -> dict[str, Any]:
        fields = {name: self.getter(name)(record) for name in self._contract.fields}
        return fields | {self._contract.time: time_of(record)}


def _short(value: bytes | None) -> Finding:
    assert value is not None
    if value[0] != 0:
        detail = f"the record begins with 0x{value[0]:02x}, not with the zero byte of a framed one"
    elif len(value) < HEADER_BYTES:
        detail = f"the record has {len(value)} bytes, too few for a schema id"
    else:
        detail = "the record ends after its schema id"
    return Finding(Reason.BAD_FRAME, None, detail)


def _format(name: str) -> tuple[str, Callable[[Schema, EventContract], SchemaReader]]:
    """What a registry calls a format, and what reads it; imported only when it is asked for."""
    match name:
        case "avro":
            from streams.formats.avro import AvroReader

            return "AVRO", AvroReader
        case "protobuf":
            from streams.formats.protobuf import ProtobufReader

            return "PROTOBUF", ProtobufReader
        case "json_schema":
            from streams.formats.json_schema import JsonSchemaReader

            return "JSON", JsonSchemaReader
        case _:
            raise ValueError(f"{name!r} is no format with schemas")
