"""Counts as few bytes: most are small, and many are 0."""

import zlib

import numpy as np
from numpy.typing import NDArray

_WIDTHS = (1, 2, 4)


def pack(counts: NDArray[np.int64]) -> bytes:
    """Counts of any shape, each below 2^32: their width in bytes, and what zlib makes of them."""
    most = int(counts.max(initial=0))
    width = next(each for each in _WIDTHS if most < 256**each)
    return bytes([width]) + zlib.compress(counts.astype(f"<u{width}").tobytes(), 1)


def unpack(data: bytes, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The counts again.

    Raises:
        ValueError: these are none, or none of this shape.
    """
    width = data[0] if data else 0
    size = int(np.prod(shape)) * width
    if width not in _WIDTHS or not size:
        raise ValueError("counts are not packed as Weir's monitor packs them")
    opened = zlib.decompressobj()
    try:
        found = opened.decompress(data[1:], size)
    except zlib.error as error:
        raise ValueError(f"packed counts are damaged: {error}") from error
    if len(found) != size or opened.unconsumed_tail or not opened.eof:
        raise ValueError(f"packed counts are none of shape {shape}")
    return np.frombuffer(found, f"<u{width}").reshape(shape).astype(np.int64)
