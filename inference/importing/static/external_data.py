"""Tensors whose data lie in other files: taken into the model, or refused.

The model names the files, and is a stranger's. What is taken in goes out again with the package. So
nothing is taken that could be something else than weights: a key, a configuration, a database.
"""

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from onnx import TensorProto

from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError
from streams.base.apart.starter import is_plain_file

_EMBED = (
    "Save the model as one file: onnx.save(onnx.load(PATH), NEW_PATH), or "
    "torch.onnx.export(..., external_data=False)"
)
_NAMES = re.compile(
    r"""
    .+ \.(data | onnx_data(_\d+)? | weights? | bias | bin | raw)    # PyTorch, Optimum, ONNX
    | weights
    | [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}                     # ONNX before 1.16
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NAMES_SAID = ".data, .onnx_data, .weights, .weight, .bias, .bin or .raw"
_MOST_FILES = 10_000
_LOOKED_AT = 1 << 16
_OTHER_KINDS = {
    b"SQLite format 3\0": "a database",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program",
    b"%PDF": "a PDF",
}

_DER_KEY = re.compile(rb"\x30(\x82..|\x81.|[\x20-\x7f])\x02\x01[\x00\x01\x03]", re.DOTALL)
"""PKCS #8, #1 and #12, and SEC 1."""


def weights_beside(model: Path) -> list[Path]:
    """The files beside a model that may hold its weights, going by their names."""
    try:
        with os.scandir(model.absolute().parent) as entries:
            names = [entry.name for entry in entries if _NAMES.fullmatch(entry.name)]
    except OSError:
        return []  # whoever reads the model says why
    paths = (model.absolute().parent / name for name in sorted(names)[:_MOST_FILES])
    return [path for path in paths if is_plain_file(path)]


def embed_external_data(
    tensors: Iterable[tuple[str, TensorProto]], model: Path, limits: Limits
) -> int:
    """Replace references to files beside the model by their content; return the bytes taken in.

    Args:
        tensors: all tensors of the model, with their places.
        model: the model's file.

    Raises:
        ImportRefusedError: a file is missing, too short, all are too large, or one may be something
            else than weights.
    """
    total = 0
    for place, tensor in tensors:
        if tensor.data_location != TensorProto.EXTERNAL and not tensor.external_data:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        opened = _opened(model, location, place)
        with os.fdopen(opened, "rb") as stream:
            size = os.fstat(opened).st_size
            try:
                offset = int(entries.get("offset") or 0)
                length = int(entries["length"]) if "length" in entries else size - offset
            except ValueError:
                raise ImportRefusedError(
                    place, "offset and length of its external data are no numbers", _EMBED
                ) from None
            if offset < 0 or length < 0 or offset + length > size:
                raise ImportRefusedError(
                    place,
                    f"its external data, bytes {offset} to {offset + length}, lie outside "
                    f"{location!r}, which has {size}",
                    f"The data file is truncated or of another model: copy both again. {_EMBED}",
                )
            total += length
            if total > limits.file_bytes:
                raise ImportRefusedError(
                    place,
                    f"the external data are larger than the limit of {limits.file_mb:,} MiB",
                    "Raise --max-mb if you trust the file",
                )
            if other := _other_kind(stream.read(_LOOKED_AT)):
                _refuse(place, location, f"is {other}, and no weights")
            stream.seek(offset)
            tensor.raw_data = stream.read(length)
        if b"-----BEGIN " in tensor.raw_data:
            _refuse(place, location, "holds a key or certificate, and no weights")
        del tensor.external_data[:]
        tensor.data_location = TensorProto.DEFAULT
    return total


def _opened(model: Path, location: str, place: str) -> int:
    """The file that a location means, open, if it lies right beside the model and may be weights.

    It is opened first and looked at then: nobody can put another one in its place between.
    """
    name = location.removeprefix("./")
    if not name or "\0" in name or name in (".", "..") or Path(name).name != name:
        raise ImportRefusedError(
            place,
            f"its data lie at {location!r}, which is no file of the model's own folder",
            f"Put the data file beside the model. {_EMBED}",
        )
    if not _NAMES.fullmatch(name):
        _refuse(place, location, f"is not called as weights are, such as NAME{_NAMES_SAID}")
    path = model.absolute().parent / name
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            _refuse(place, location, "is a link")
        if path.exists() and not is_plain_file(path):
            _refuse(place, location, "is no file")
        raise ImportRefusedError(
            place,
            f"its data lie in {location!r}, which is not beside the model or can't be read "
            f"({error.strerror})",
            f"Put that file there. {_EMBED}",
        ) from error
    problem = _distrusted(os.fstat(opened), model.stat())
    if problem:
        os.close(opened)
        _refuse(place, location, problem)
    return opened


def _distrusted(data: os.stat_result, model: os.stat_result) -> str:
    """What tells a file from weights that came with the model; empty where nothing does."""
    if not stat.S_ISREG(data.st_mode):
        return "is no file"
    if data.st_nlink > 1:
        return "has a second name elsewhere (a hard link)"
    if data.st_uid != model.st_uid:
        return f"belongs to user {data.st_uid}, and the model to user {model.st_uid}"
    return ""


def _other_kind(beginning: bytes) -> str:
    """What else than weights a file is, by its beginning; empty where it may be weights."""
    for magic, kind in _OTHER_KINDS.items():
        if beginning.startswith(magic):
            return kind
    if _DER_KEY.match(beginning):
        return "a key"
    try:
        text = beginning.decode()
    except UnicodeDecodeError as error:
        if error.start < len(beginning) - 3:  # else a character is cut in two
            return ""
        text = beginning[: error.start].decode()
    return "text" if text and all(each.isprintable() or each.isspace() for each in text) else ""


def _refuse(place: str, location: str, why: str) -> NoReturn:
    raise ImportRefusedError(
        place,
        f"its data lie in {location!r}, which {why}",
        f"If these are its weights, copy them beside the model as a plain NAME.data. {_EMBED}",
    )
