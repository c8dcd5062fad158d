"""Tensors whose data lie in other files: taken into the model, or refused."""

import stat
from collections.abc import Iterable
from pathlib import Path

from onnx import TensorProto

from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError

_EMBED = (
    "Save the model as one file: onnx.save(onnx.load(PATH), NEW_PATH), or "
    "torch.onnx.export(..., external_data=False)"
)


def embed_external_data(
    tensors: Iterable[tuple[str, TensorProto]], folder: Path, limits: Limits
) -> int:
    """Replace references to files beside the model by their content; return the bytes taken in.

    Only files within `folder`, after all symbolic links, are read; the model decides which.

    Args:
        tensors: all tensors of the model, with their places.
        folder: where the model lies.

    Raises:
        ImportRefusedError: a file lies elsewhere, is missing, too short, or all are too large.
    """
    root = folder.resolve()
    total = 0
    for place, tensor in tensors:
        if tensor.data_location != TensorProto.EXTERNAL and not tensor.external_data:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        path = _inside(root, location, place)
        try:
            size = path.stat().st_size
            offset = int(entries.get("offset") or 0)
            length = int(entries["length"]) if "length" in entries else size - offset
        except ValueError:
            raise ImportRefusedError(
                place, "offset and length of its external data are no numbers", _EMBED
            ) from None
        if offset < 0 or length < 0 or offset + length > size:
            raise ImportRefusedError(
                place,
                f"its external data, bytes {offset} to {offset + length}, lie outside {location!r}"
                f", which has {size}",
                f"The data file is truncated or of another model: copy both again. {_EMBED}",
            )
        total += length
        if total > limits.file_bytes:
            raise ImportRefusedError(
                place,
                f"the external data are larger than the limit of {limits.file_mb:,} MiB",
                "Raise --max-mb if you trust the file",
            )
        with path.open("rb") as stream:
            stream.seek(offset)
            tensor.raw_data = stream.read(length)
        del tensor.external_data[:]
        tensor.data_location = TensorProto.DEFAULT
    return total


def _inside(root: Path, location: str, place: str) -> Path:
    """Return the file that a location means, if it lies in the folder."""
    if not location or "\0" in location or Path(location).is_absolute():
        raise ImportRefusedError(
            place,
            f"its data lie at {location!r}, which is no path below the model's folder",
            _EMBED,
        )
    try:
        path = (root / location).resolve()
        if not path.is_relative_to(root):
            raise ImportRefusedError(
                place, f"its data lie at {location!r}, outside the model's folder", _EMBED
            )
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, RuntimeError) as error:  # the latter: symbolic links in a circle
        raise ImportRefusedError(
            place,
            f"its data lie in {location!r}, which is not beside the model",
            f"Put that file there. {_EMBED}",
        ) from error
    if not regular:
        raise ImportRefusedError(place, f"its data lie in {location!r}, which is no file", _EMBED)
    return path
