"""From the text of a Protobuf schema to its descriptor."""

import json
import re
import signal
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor

from streams.base.apart.starter import Apart, Bounds, Ended
from streams.formats.reader import WrongSchemaError
from streams.formats.registry import Schema

_ROOT = "weir_record.proto"
_BOUNDS = Bounds(cpu_s=5, wall_s=20, memory_mb=1_024, file_mb=16)
"""A schema as large as is taken at all needs a second of processor time at worst."""
_TRIES = 3
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@=~-]{0,99}")
_LONGEST_NAME = 250
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_TEXTS = "texts"
_DESCRIPTORS = "descriptors.bin"


def compile_schema(schema: Schema) -> FileDescriptor:
    """Return the descriptor of a schema, in a pool of its own: names may recur between schemas.

    Runs protoc in a process apart, with 5 seconds of processor time and a GiB of memory: what it
    makes of strange text must not end ours, or keep it.

    Raises:
        WrongSchemaError: it does not compile, or holds no message.
        OSError: protoc can't be run.
    """
    texts = _named(schema)
    compiled = descriptor_pb2.FileDescriptorSet.FromString(_compiled(texts))
    pool = descriptor_pool.DescriptorPool()
    for file in compiled.file:
        pool.Add(file)
    descriptor: FileDescriptor = pool.FindFileByName(_ROOT)
    if not descriptor.message_types_by_name:
        raise WrongSchemaError("it is a Protobuf schema without a message")
    return descriptor


def _named(schema: Schema) -> dict[str, str]:
    """The texts by the names by which they import each other, which become names of files.

    A registry takes any text for a name. Here they are relative paths of plain letters, none the
    folder of another. What Protobuf itself brings along is not replaced by what somebody registered
    under its name.
    """
    well_known = files("grpc_tools") / "_proto"
    texts = {}
    for name, text in schema.references.items():
        parts = name.split("/")
        if len(name) > _LONGEST_NAME or not all(_PART.fullmatch(part) for part in parts):
            raise WrongSchemaError(
                f"it refers to {name[:50]!r}, which is no path such as 'shop/money.proto'"
            )
        if name == _ROOT:
            raise WrongSchemaError(f"it refers to {name!r}, by which we call the schema itself")
        if not well_known.joinpath(*parts).is_file():
            texts[name] = text
    for name in texts:
        folders = name.split("/")[:-1]
        if any("/".join(folders[: depth + 1]) in texts for depth in range(len(folders))):
            raise WrongSchemaError(f"it refers to {name!r}, and to a file in place of its folder")
    return texts | {_ROOT: schema.text}


def _compiled(texts: dict[str, str]) -> bytes:
    """What protoc makes of them, serialized.

    Whoever is killed from without, or has no processor for long, may not be to blame: so it is
    tried again, and not for ever.
    """
    for left in reversed(range(_TRIES)):
        with Apart("protoc", _BOUNDS) as apart:
            # Some clients register schemas as base64 of their descriptor, and some registries keep
            # it so.
            described = {name: text for name, text in texts.items() if _BASE64.fullmatch(text)}
            (apart.folder / "described.json").write_text(json.dumps(described), encoding="utf-8")
            for name in texts.keys() - described.keys():
                path = apart.folder / _TEXTS / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(texts[name].encode())
            (apart.folder / _TEXTS).mkdir(exist_ok=True)
            ended = apart.run("streams.protoc.child", [_ROOT], outputs=["given.bin", _DESCRIPTORS])
            if ended.code == 0:
                return apart.read(_DESCRIPTORS)
            if left and (ended.overstayed or ended.code == -signal.SIGKILL):
                continue
            raise WrongSchemaError(f"it does not compile: {_complaint(ended, apart.folder)}")
    raise AssertionError("unreachable")


def _complaint(ended: Ended, folder: Path) -> str:
    """The first line that speaks of a file: the libraries of protoc write there too."""
    if ended.took_all_cpu or ended.overstayed:
        return f"protoc took more than {_BOUNDS.cpu_s} s for it"
    lines = ended.said.splitlines()
    for line in lines:
        if ".proto:" in line.split(" ")[0]:
            return (
                line.removeprefix(f"{folder}/").removeprefix(f"{_TEXTS}/").removeprefix(f"{_ROOT}:")
            )
    return lines[-1][:100] if lines and ended.code > 0 else f"protoc {ended}"
