"""Protobuf: records read with their writer's schema, checked against the contract."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from streams.events.contract import EventContract
from streams.events.field_checks import read_fields
from streams.events.json_decoder import record_type
from streams.events.rejection import Finding
from streams.events.values import Single
from streams.formats.protoc import compile_schema
from streams.formats.reader import HEADER_BYTES, BadIndexError, bad_body
from streams.formats.registry import Schema

_TIMESTAMP = "google.protobuf.Timestamp"
_MOST_INDEXES = 32  # messages nested deeper than that are none
_MOST_READERS = 16  # of one schema; records of all its messages may come


class ProtobufSchema:
    """A Protobuf schema; its records say by indexes of which of its messages they are.

    A field is missing if it has presence (``optional``, a wrapper, proto2) and was not set;
    without presence an unset field is its default, as Protobuf itself has it.

    Raises:
        WrongSchemaError: it is no Protobuf schema.
    """

    def __init__(self, schema: Schema, contract: EventContract) -> None:
        self._contract = contract
        self._file: FileDescriptor = compile_schema(schema)
        self._readers: dict[bytes, ProtobufReader] = {}
        self._first = self._message((0,), HEADER_BYTES + 1)

    def reader_of(self, frame: bytes) -> "ProtobufReader":
        """Return what reads this frame."""
        # One zero byte stands for the first message of the file, which is the usual case.
        if frame[HEADER_BYTES] == 0:
            return self._first
        indexes, start = _read_indexes(frame)
        written = frame[HEADER_BYTES:start]
        reader = self._readers.get(written)
        if reader is None:
            if len(self._readers) >= _MOST_READERS:
                self._readers.clear()
            reader = self._readers[written] = self._message(indexes, start)
        return reader

    def _message(self, indexes: tuple[int, ...], start: int) -> "ProtobufReader":
        types = list(self._file.message_types_by_name.values())
        descriptor: Descriptor | None = None
        for index in indexes:
            if not 0 <= index < len(types):
                raise BadIndexError(f"the schema has no message {list(indexes)}")
            descriptor = types[index]
            types = list(descriptor.nested_types)
        assert descriptor is not None
        return ProtobufReader(descriptor, self._contract, start)


class ProtobufReader:
    """Reads the records of one message; `start` is where its body begins in a frame."""

    def __init__(self, descriptor: Descriptor, contract: EventContract, start: int) -> None:
        time = descriptor.fields_by_name.get(contract.time)
        if time is not None and _holds(time, _TIMESTAMP):
            contract = contract.model_copy(update={"time_format": "us"})
        self.contract = contract
        self._start = start
        self._parse = message_factory.GetMessageClass(descriptor).FromString
        self.type = record_type(contract)
        self._readers = [
            (name, _value_reader(field, name, contract), field.has_presence)
            for name in (contract.time, *contract.fields)
            if (field := descriptor.fields_by_name.get(name)) is not None
        ]

    def record(self, frame: bytes) -> Any:
        """Return the record in a frame."""
        return msgspec.convert(self._fields(frame), self.type)

    def second_look(self, frame: bytes, now_ms: int) -> dict[str, Any] | Finding:
        """Return the fields of a record that is written otherwise, or what is wrong with it."""
        try:
            fields = self._fields(frame)
        except Exception as error:  # whatever the library makes of garbage
            return bad_body(error)
        return read_fields(self.contract, fields.items(), now_ms)

    def _fields(self, frame: bytes) -> dict[str, Any]:
        message = self._parse(frame[self._start :])
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
        return lambda message: []  # no contract has one; its items are nobody's business
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
    get: Callable[[Any], Any] = attrgetter(name)
    if field.type == FieldDescriptor.TYPE_FLOAT and (declared is None or declared.type != "float"):
        return lambda message: Single(get(message))
    return get


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
    """A zigzag varint, and where it ends; only its shortest form, so that none has many."""
    value = shift = 0
    while True:
        if at >= len(frame) or shift > 28:
            raise BadIndexError("the record's message indexes are cut off or no numbers")
        byte = frame[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise BadIndexError("the record's message indexes are not in their shortest form")
            return (value >> 1) ^ -(value & 1), at
        shift += 7
