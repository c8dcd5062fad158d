"""From the text of a Protobuf schema to its descriptor."""

import tempfile
from importlib.resources import files
from pathlib import Path, PurePosixPath

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_tools import protoc

from streams.formats.reader import WrongSchemaError
from streams.formats.registry import Schema

_ROOT = "weir_record.proto"


def compile_schema(schema: Schema) -> FileDescriptor:
    """Return the descriptor of a schema, in a pool of its own: names may recur between schemas.

    Raises:
        WrongSchemaError: it does not compile, or holds no message.
    """
    with tempfile.TemporaryDirectory(prefix="weir-protoc-") as folder:
        root = Path(folder)
        for name, text in (schema.references | {_ROOT: schema.text}).items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise WrongSchemaError("it imports a file outside of its folder")
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        out = root / "weir_descriptors.bin"
        well_known = files("grpc_tools") / "_proto"
        code = protoc.main(
            [
                "protoc",
                f"-I{root}",
                f"-I{well_known}",
                "--include_imports",
                f"--descriptor_set_out={out}",
                _ROOT,
            ]
        )
        if code != 0:
            raise WrongSchemaError("it is no Protobuf schema that protoc can compile")
        described = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.Add(file)
    descriptor: FileDescriptor = pool.FindFileByName(_ROOT)
    if not descriptor.message_types_by_name:
        raise WrongSchemaError("it is a Protobuf schema without a message")
    return descriptor
