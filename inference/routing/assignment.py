"""Which arm a key falls to: a salted hash, the same in every worker and at every time."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streams.features.kernels.siphash import siphash

_DOMAIN = b"weir-arms\0"
_POINTS = 2.0**-53


class Assignment:
    """Tells the arm of keys.

    A key is a point in [0, 1), by SipHash-1-3 under a key made of the experiment's name: another
    experiment mixes the keys anew. The first arm has the points from 0 up, so that who was in it
    stays there when its share grows; the other arms have those from 1 down, in their order; the
    champion has the rest.

    Args:
        experiment: the salt.
        shares: of the arms beside the champion, each in [0, 1], with a sum of 1 at most.
    """

    def __init__(self, experiment: str, shares: Sequence[float]) -> None:
        digest = blake2b(_DOMAIN + experiment.encode(), digest_size=16).digest()
        self._key: NDArray[np.int64] = np.frombuffer(digest, "<i8").astype(np.int64)
        self._first = shares[0] if shares else 0.0
        # Where each of the others begins, from the last one up.
        self._begins = 1.0 - np.cumsum(np.array(shares[1:], np.float64))[::-1]

    def arms(self, keys: Sequence[int | str]) -> NDArray[np.int8]:
        """The arm of each key, (n,): 0 for the champion, k for the k-th arm; 5 is as "5"."""
        return self.arms_of(self.points(keys))

    def arms_of(self, points: NDArray[np.float64]) -> NDArray[np.int8]:
        """The arm of each point, (n,)."""
        arms = np.zeros(len(points), np.int8)
        if self._begins.size:
            place = np.searchsorted(self._begins, points, side="right")
            others = place > 0
            arms[others] = self._begins.size + 2 - place[others]
        arms[points < self._first] = 1
        return arms

    def points(self, keys: Sequence[int | str]) -> NDArray[np.float64]:
        """The points in [0, 1) of keys, (n,)."""
        texts = [str(key).encode() for key in keys]
        ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
        # With a byte more, since numpy makes no array of none.
        data = np.frombuffer(bytearray().join([*texts, b"\0"]), np.uint8)
        hashes = np.empty(len(texts), np.int64)
        siphash(data, ends, self._key, hashes)
        return (hashes.view(np.uint64) >> np.uint64(11)).astype(np.float64) * _POINTS
