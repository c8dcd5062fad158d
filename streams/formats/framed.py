"""Decodes records in Confluent's wire format: a zero byte, the schema's id, and the body."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import compress, groupby
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.events.contract import EventContract
from streams.events.field_checks import check_size
from streams.events.json_decoder import Decoder, Records, read_each, settle, time_of
from streams.events.rejection import Finding, Reason, Rejected
from streams.events.times import times_ms
from streams.formats.reader import (
    HEADER_BYTES,
    BadIndexError,
    CompiledSchema,
    SchemaNotReadyError,
    SchemaReader,
    bad_body,
)
from streams.formats.registry import Schema
from streams.formats.schema_shelf import Registry, SchemaShelf
from streams.formats.settings import SchemaRegistrySettings


class FramedDecoder(Decoder):
    """A `Decoder` of records whose schemas are in a registry.

    Each schema is compiled once, and kept as long as there is room. At the first record whose
    schema can't be had yet, `decode` raises `TryAgainLaterError`, with those before it decoded.

    Args:
        contract: what a record must hold, and its format.
        registry: is asked once for each id.
        now_ms: as for `Decoder`.
        validate_json: whether bodies are held against their JSON Schema.
        max_bytes: of the largest schema.
        headers: as for `Decoder`.
    """

    def __init__(
        self,
        contract: EventContract,
        registry: Registry,
        now_ms: Callable[[], int] | None = None,
        *,
        validate_json: bool = True,
        max_bytes: int = SchemaRegistrySettings().max_bytes,
        headers: Sequence[str] = (),
    ) -> None:
        super().__init__(contract, now_ms, headers=headers)
        kind, new_schema = _format(contract.format, validate_json)
        self._schemas = SchemaShelf(
            registry,
            kind,
            contract.format,
            lambda schema: new_schema(schema, self._contract),
            max_bytes,
        )
        self._floats = [
            self.getter(name) for name, field in contract.fields.items() if field.type == "float"
        ]

    def _read(self, values: Sequence[bytes | None], arrived_ms: NDArray[np.int64]) -> Records:
        records: list[Any] = []
        times = [np.empty(0, np.int64)]
        rejected: list[Rejected] = []
        self._schemas.begin_batch()
        readers, later = self._readers(values)
        for reader, run in groupby(enumerate(readers), key=itemgetter(1)):
            positions = [position for position, _ in run]
            if isinstance(reader, Finding):
                rejected += [Rejected(position, *reader) for position in positions]
                continue
            good, run_times, bad = self._read_run(reader, values, positions, arrived_ms)
            records += good
            times.append(run_times)
            rejected += sorted(bad, key=attrgetter("position"))
        return Records(records, np.concatenate(times), rejected, later)

    def _read_run(
        self,
        reader: SchemaReader,
        values: Sequence[Any],
        positions: list[int],
        arrived_ms: NDArray[np.int64],
    ) -> tuple[list[Any], NDArray[np.int64], list[Rejected]]:
        """Records that one reader reads, their times, and the others."""

        def settled(position: int, error: Exception) -> Any:
            found = reader.second_look(values[position], int(arrived_ms[position]))
            return settle(reader.contract, reader.type, found, error)

        # The libraries may raise anything where they meet garbage.
        run = map(values.__getitem__, positions)
        good, bad = read_each(reader.record, run, positions, Exception, settled)
        times, wrong = times_ms(list(map(time_of, good)), reader.contract.time_format)
        wrong |= self._not_finite(good)
        if wrong.any():
            places = np.array(positions)[~np.isin(positions, [each.position for each in bad])]
            bad += self._rejected(values, places[wrong], arrived_ms)
            good = list(compress(good, ~wrong))
            times = times[~wrong]
        if self._contract.time_format == "s":
            times = times // 1000 * 1000  # as a file's, whatever unit the schema has
        return good, times, bad

    def _second_look(self, value: bytes | None, now_ms: int) -> dict[str, Any] | Finding:
        ((reader,), _) = self._readers([value])
        return reader if isinstance(reader, Finding) else reader.second_look(value, now_ms)  # type: ignore[arg-type]

    def _not_finite(self, records: list[Any]) -> NDArray[np.bool_]:
        """Which records hold a NaN or an infinity, which no contract allows."""
        found = np.zeros(len(records), np.bool_)
        for get in self._floats:
            column = list(map(get, records))
            for i in np.flatnonzero(~np.isfinite(np.array(column, np.float64))).tolist():
                found[i] |= column[i] is not None
        return found

    def _readers(
        self, values: Sequence[bytes | None]
    ) -> tuple[list[SchemaReader | Finding], SchemaNotReadyError | None]:
        """What reads each record, or what is wrong with it before it is read.

        Ends at the first whose schema can't be had yet, and says why that is so.
        """
        readers: list[SchemaReader | Finding] = []
        of_batch = self._schemas.of_batch
        largest = self._contract.max_bytes
        for value in values:
            if value is None or not HEADER_BYTES < len(value) <= largest or value[0] != 0:
                readers.append(check_size(self._contract, value) or _bad_frame(value))
                continue
            header = value[:HEADER_BYTES]
            try:
                schema = of_batch.get(header) or self._schemas.get(header)
                wrong = isinstance(schema, Finding)
                readers.append(schema if wrong else schema.reader_of(value))  # type: ignore[union-attr, arg-type]
            except BadIndexError as error:
                readers.append(bad_body(error))
            except SchemaNotReadyError as error:
                return readers, error
        return readers, None


def _bad_frame(value: bytes | None) -> Finding:
    assert value is not None
    if value[0] != 0:
        detail = f"the record begins with 0x{value[0]:02x}, not with the zero byte of a framed one"
    elif len(value) < HEADER_BYTES:
        detail = f"the record has {len(value)} bytes, too few for a schema id"
    else:
        detail = "the record ends after its schema id"
    return Finding(Reason.BAD_FRAME, None, detail)


def _format(
    name: str, validate_json: bool
) -> tuple[str, Callable[[Schema, EventContract], CompiledSchema]]:
    """What a registry calls a format, and what reads it; imported only when it is asked for."""
    match name:
        case "avro":
            from streams.formats.avro import AvroReader

            return "AVRO", AvroReader
        case "protobuf":
            from streams.formats.protobuf import ProtobufSchema

            return "PROTOBUF", ProtobufSchema
        case "json_schema":
            from streams.formats.json_schema import JsonSchemaReader

            return "JSON", partial(JsonSchemaReader, validate=validate_json)
        case _:
            raise ValueError(f"{name!r} is no format with schemas")
