"""Protobuf: records read with their writer's schema, checked against the contract."""

from collections.abc import Callable
from typing import Any

import msgspec
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from streams.contract import EventContract
from streams.decode import record_type
from streams.formats.protoc import compile_schema
from streams.formats.reader import HEADER_BYTES, BadIndexError, bad_body
from streams.formats.registry import Schema
from streams.rejection import Finding, check_fields

_TIMESTAMP = "google.protobuf.Timestamp"
_MOST_INDEXES = 32  # messages nested deeper than that are none


class ProtobufReader:
    """Reads the records of one Protobuf schema, of whichever of its messages they are.

    A field is missing if it has presence (``optional``, a wrapper, proto2) and was not set;
    without presence an unset field is its default, as Protobuf itself has it.

    Raises:
        WrongSchemaError: it is no Protobuf schema.
    """

    def __init__(self, schema: Schema, contract: EventContract) -> None:
        self.contract = contract
        self._given = contract
        self._file: FileDescriptor = compile_schema(schema)
        self._messages: dict[tuple[int, ...], _MessageReader] = {}
        first = self._message((0,))
        self.contract = first.contract

    def record(self, frame: bytes) -> Any:
        """Return the record in a frame."""
        # One zero byte stands for the first message of the file, which is the usual case.
        if frame[HEADER_BYTES] == 0:
            return self._messages[0,].record(frame[HEADER_BYTES + 1 :])
        indexes, start = _read_indexes(frame)
        return self._message(indexes).record(frame[start:])

    def explain(self, frame: bytes, now_ms: int) -> Finding | None:
        """Return what is wrong with a frame."""
        try:
            indexes, start = _read_indexes(frame)
            message = self._message(indexes)
            fields = message.fields(frame[start:])
        except Exception as error:  # whatever the library makes of garbage
            return bad_body(error)
        return check_fields(message.contract, fields, now_ms)

    def _message(self, indexes: tuple[int, ...]) -> "_MessageReader":
        known = self._messages.get(indexes)
        if known is not None:
            return known
        inside: Any = self._file.message_types_by_name
        descriptor: Descriptor | None = None
        for index in indexes:
            types = list(inside.values()) if descriptor is None else list(descriptor.nested_types)
            if not 0 <= index < len(types):
                raise BadIndexError(f"the schema has no message {list(indexes)}")
            descriptor = types[index]
        assert descriptor is not None
        reader = self._messages[indexes] = _MessageReader(descriptor, self._given)
        return reader


class _MessageReader:
    """Reads one type of message."""

    def __init__(self, descriptor: Descriptor, contract: EventContract) -> None:
        time = descriptor.fields_by_name.get(contract.time)
        if time is not None and _holds(time, _TIMESTAMP):
            contract = contract.model_copy(update={"time_format": "us"})
        self.contract = contract
        self._parse = message_factory.GetMessageClass(descriptor).FromString
        self._type = record_type(contract)
        self._readers = [
            (name, _value_reader(field, name, contract), field.has_presence)
            for name in (contract.time, *contract.fields)
            if (field := descriptor.fields_by_name.get(name)) is not None
        ]

    def record(self, body: bytes) -> Any:
        return msgspec.convert(self.fields(body), self._type)

    def fields(self, body: bytes) -> dict[str, Any]:
        message = self._parse(body)
        has = message.HasField
        return {
            name: read(message)
            for name, read, presence in self._readers
            if not presence or has(name)
        }


def _value_reader(
    field: FieldDescriptor, name: str, contract: EventContract
) -> Callable[[Any], Any]:
    if field.is_repeated:
        return lambda message: list(getattr(message, name))
    if name == contract.time and _holds(field, _TIMESTAMP):

        def timestamp(message: Any) -> int:
            value = getattr(message, name)
            return int(value.seconds * 1_000_000 + value.nanos // 1000)

        return timestamp
    if field.message_type is not None:
        wraps = field.message_type.full_name
        wrapper = wraps.startswith("google.protobuf.") and wraps.endswith("Value")
        if wrapper and "value" in field.message_type.fields_by_name:
            return lambda message: getattr(message, name).value
        return lambda message: {}
    declared = contract.fields.get(name)
    if field.enum_type is not None and (declared is None or declared.type != "int"):
        words = {number: value.name for number, value in field.enum_type.values_by_number.items()}

        def word(message: Any) -> Any:
            number = getattr(message, name)
            return words.get(number, number)

        return word
    return lambda message: getattr(message, name)


def _holds(field: FieldDescriptor, message: str) -> bool:
    return (
        field.message_type is not None
        and field.message_type.full_name == message
        and not field.is_repeated
    )


def _read_indexes(frame: bytes) -> tuple[tuple[int, ...], int]:
    """The path to the record's message in its schema's file, and where the body begins."""
    count, at = _read_varint(frame, HEADER_BYTES)
    if count == 0:
        return (0,), at
    if not 0 < count <= _MOST_INDEXES:
        raise BadIndexError(f"the record names a message by {count} indexes")
    indexes = []
    for _ in range(count):
        index, at = _read_varint(frame, at)
        indexes.append(index)
    return tuple(indexes), at


def _read_varint(frame: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(frame) or shift > 28:
            raise BadIndexError("the record's message indexes are cut off or no numbers")
        byte = frame[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
