"""Salted hashes as points in [0, 1): the same in every worker and at every time."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streams.features.kernels.siphash import siphash

_POINTS = 2.0**-53


class Points:
    """Places ids or keys in [0, 1), evenly, by SipHash-1-3 under a key made of the salt.

    Args:
        salt: with another one all points are others, and tell nothing of these.
    """

    def __init__(self, salt: bytes) -> None:
        digest = blake2b(salt, digest_size=16).digest()
        self._key: NDArray[np.int64] = np.frombuffer(digest, "<i8").astype(np.int64)

    def __call__(self, names: Sequence[int | str]) -> NDArray[np.float64]:
        """The points of ids or keys, (n,); 5 is as "5"."""
        return (self.hashes(names) >> np.uint64(11)).astype(np.float64) * _POINTS

    def hashes(self, names: Sequence[int | str]) -> NDArray[np.uint64]:
        """The 64 bits that points are made of, (n,)."""
        texts = [str(name).encode() for name in names]
        ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
        # With a byte more, since numpy makes no array of none.
        data = np.frombuffer(bytearray().join([*texts, b"\0"]), np.uint8)
        hashes = np.empty(len(texts), np.int64)
        siphash(data, ends, self._key, hashes)
        return hashes.view(np.uint64)
