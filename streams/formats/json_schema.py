"""JSON Schema: the JSON of each record is held to the contract, and to the schema it names."""

from typing import Any

import msgspec

from streams.events.contract import EventContract
from streams.events.json_decoder import record_type
from streams.events.json_diagnosis import second_look
from streams.events.rejection import Finding
from streams.formats.json_validator import Validator
from streams.formats.reader import HEADER_BYTES
from streams.formats.registry import Schema


class JsonSchemaReader:
    """Reads JSON records behind a header.

    The contract judges first, so that a record is judged alike in whatever format it comes.

    Args:
        validate: whether a record has to keep its schema's own constraints too, or those were the
            producer's to check.

    Raises:
        WrongSchemaError: the schema is of no use, and `validate` needs it.
    """

    def __init__(self, schema: Schema, contract: EventContract, *, validate: bool = True) -> None:
        self.contract = contract
        self.type = record_type(contract)
        self._decode = msgspec.json.Decoder(self.type).decode
        self._validator = Validator(schema) if validate else None

    def reader_of(self, frame: bytes) -> "JsonSchemaReader":
        """Every record of a JSON Schema is read alike."""
        return self

    def record(self, frame: bytes) -> Any:
        """Return the record in a frame."""
        body = memoryview(frame)[HEADER_BYTES:]
        record = self._decode(body)
        if self._validator is not None and not self._validator.keeps(body):
            raise ValueError("it breaks its schema")
        return record

    def second_look(self, frame: bytes, now_ms: int) -> dict[str, Any] | Finding:
        """Return the fields of a record that is written otherwise, or what is wrong with it."""
        body = frame[HEADER_BYTES:]
        found = second_look(self.contract, body, now_ms)
        if isinstance(found, dict) and self._validator is not None:
            return self._validator.breach(body) or found
        return found
