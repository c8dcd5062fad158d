"""From a file to a parsed model, with all its data inside."""

import stat
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto

from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError

_OTHERS = {
    b"PK\x03\x04": "a zip archive, as PyTorch's .pt and Keras's .keras files are",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras's .h5 files are",
    b"\x80": "a Python pickle, as joblib and scikit-learn write them",
    b"tree\nversion": "LightGBM's own text format",
    b"{": "JSON, such as XGBoost's own format",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}
_EXPORT = (
    "Export it with torch.onnx.export, tf2onnx, skl2onnx, onnxmltools or jax2onnx: docs/models.md"
)


def read_bytes(path: Path, limits: Limits) -> bytes:
    """Return a file's bytes.

    Raises:
        ImportRefusedError: it is no file, cannot be read, is too large, or is of another kind.
    """
    try:
        size, mode = path.stat().st_size, path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ImportRefusedError("", "this is no file", "Name the .onnx file itself")
        if size > limits.file_bytes:
            raise ImportRefusedError(
                "",
                f"the file has {size / 2**20:,.0f} MiB, the limit is {limits.file_mb:,}",
                "Raise --max-mb if you trust it, or export a smaller model",
            )
        data = path.read_bytes()
    except OSError as error:
        raise ImportRefusedError(
            "", f"the file cannot be read: {error.strerror}", "Check its name and rights"
        ) from error
    if not data:
        raise ImportRefusedError("", "the file is empty", "Export or copy it again")
    for magic, kind in _OTHERS.items():
        if data.startswith(magic):
            raise ImportRefusedError("", f"no ONNX file: it is {kind}", _EXPORT)
    return data


def parse(data: bytes) -> ModelProto:
    """Return the model in a file's bytes.

    Raises:
        ImportRefusedError: the bytes are no ONNX model.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError) as error:
        raise ImportRefusedError(
            "", "no ONNX file, or a damaged or truncated one", f"Copy it again. {_EXPORT}"
        ) from error
    if not model.HasField("graph") or not model.graph.output:
        raise ImportRefusedError(
            "", "the file holds no graph with an output: it is truncated, or no model", _EXPORT
        )
    if model.training_info:
        raise ImportRefusedError(
            "training_info", "the file holds a training graph", "Export it for inference"
        )
    return model
