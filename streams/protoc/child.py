"""Runs protoc on a schema, in a process apart: `streams.formats.protoc` starts it in its folder."""

import json
import sys
from base64 import b64decode
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

_MOST_OF_NAMES = 1 << 20


def main() -> int:
    """Compile ``texts/ROOT`` with all that it imports; returns the exit code."""
    (root,) = sys.argv[1:]
    described = descriptor_pb2.FileDescriptorSet()
    for name, text in json.loads(Path("described.json").read_text("utf-8")).items():
        file = described.file.add()
        file.ParseFromString(b64decode(text))
        file.name = name
    Path("given.bin").write_bytes(described.SerializeToString())
    code: int = protoc.main(
        [
            *("protoc", "-Itexts", f"-I{files('grpc_tools') / '_proto'}", "--include_imports"),
            *("--descriptor_set_in=given.bin", "--descriptor_set_out=descriptors.bin", root),
        ]
    )
    if code == 0:
        made = descriptor_pb2.FileDescriptorSet.FromString(Path("descriptors.bin").read_bytes())
        if sum(map(len, _names(made.file))) > _MOST_OF_NAMES:
            sys.stderr.write(f"its names, written out, have more than {_MOST_OF_NAMES:,} letters\n")
            return 1
    return code


def _names(made: Any) -> Iterator[str]:
    """Every name as whoever reads the schema has it in memory: with those of all around it."""
    for file in made:
        yield from _within(file.package, file.message_type, file.enum_type, file.extension)
        for service in file.service:
            yield from (f"{file.package}.{service.name}.{each.name}" for each in service.method)


def _within(scope: str, messages: Any, enums: Any, extensions: Any) -> Iterator[str]:
    for each in (*enums, *extensions):
        yield f"{scope}.{each.name}"
    for enum in enums:
        yield from (f"{scope}.{value.name}" for value in enum.value)
    for message in messages:
        own = f"{scope}.{message.name}"
        yield own
        yield from (f"{own}.{each.name}" for each in (*message.field, *message.oneof_decl))
        yield from _within(own, message.nested_type, message.enum_type, message.extension)


if __name__ == "__main__":
    sys.exit(main())
