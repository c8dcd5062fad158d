"""JSON Schema: the JSON of each record is held to the contract, and the schema must exist."""

from typing import Any

import msgspec

from streams.contract import EventContract
from streams.decode import record_type
from streams.formats.reader import HEADER_BYTES
from streams.formats.registry import Schema
from streams.json_faults import classify
from streams.rejection import Finding


class JsonSchemaReader:
    """Reads JSON records behind a header.

    The schema's own constraints were the producer's to check; here the contract's count, so that
    a record is judged alike in whatever format it comes.
    """

    def __init__(self, schema: Schema, contract: EventContract) -> None:
        self.contract = contract
        self._decode = msgspec.json.Decoder(record_type(contract)).decode

    def reader_of(self, frame: bytes) -> "JsonSchemaReader":
        """Every record of a JSON Schema is read alike."""
        return self

    def record(self, frame: bytes) -> Any:
        """Return the record in a frame."""
        return self._decode(memoryview(frame)[HEADER_BYTES:])

    def explain(self, frame: bytes, now_ms: int) -> Finding | None:
        """Return what is wrong with a frame."""
        return classify(self.contract, frame[HEADER_BYTES:], now_ms)
