"""From the text of a Protobuf schema to its descriptor."""

import binascii
import subprocess
import sys
import tempfile
from base64 import b64decode
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError

from streams.formats.reader import WrongSchemaError
from streams.formats.registry import Schema

_ROOT = "weir_record.proto"
_TIMEOUT_S = 20


def compile_schema(schema: Schema) -> FileDescriptor:
    """Return the descriptor of a schema, in a pool of its own: names may recur between schemas.

    Runs protoc, in a process of its own: what it makes of strange text must not end ours.

    Raises:
        WrongSchemaError: it does not compile, or holds no message.
        OSError: protoc can't be run.
    """
    with tempfile.TemporaryDirectory(prefix="weir-protoc-") as folder:
        root = Path(folder)
        serialized = descriptor_pb2.FileDescriptorSet()
        for name, text in (schema.references | {_ROOT: schema.text}).items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise WrongSchemaError("it imports a file outside of its folder")
            if (described := _described(text)) is not None:
                described.name = name
                serialized.file.append(described)
            else:
                target = root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
        given, out = root / "weir_given.bin", root / "weir_descriptors.bin"
        given.write_bytes(serialized.SerializeToString())
        well_known = files("grpc_tools") / "_proto"
        command = [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            *(f"-I{root}", f"-I{well_known}", "--include_imports"),
            *(f"--descriptor_set_in={given}", f"--descriptor_set_out={out}", _ROOT),
        ]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WrongSchemaError(f"it keeps protoc busy for {_TIMEOUT_S} s") from error
        if done.returncode != 0:
            raise WrongSchemaError(f"it does not compile: {_complaint(done.stderr, root)}")
        compiled = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in compiled.file:
        pool.Add(file)
    descriptor: FileDescriptor = pool.FindFileByName(_ROOT)
    if not descriptor.message_types_by_name:
        raise WrongSchemaError("it is a Protobuf schema without a message")
    return descriptor


def _complaint(stderr: str, root: Path) -> str:
    """The first line that speaks of a file: the libraries of protoc write there too."""
    for line in stderr.splitlines():
        if ".proto:" in line.split(" ")[0]:
            return line.removeprefix(f"{root}/").removeprefix(f"{_ROOT}:")
    return stderr[:100] or "protoc died of it"


def _described(text: str) -> Any:
    """The descriptor that stands in place of a text, None if it is text.

    Some clients register schemas as base64 of their descriptor, and some registries keep it so.
    """
    try:
        return descriptor_pb2.FileDescriptorProto.FromString(b64decode(text, validate=True))
    except (binascii.Error, ValueError, DecodeError):
        return None
