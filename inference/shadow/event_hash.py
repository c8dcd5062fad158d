"""Hashes of event ids, the same in every process: where the pairs of an event are."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streams.features.kernels.siphash import siphash

_KEY = np.frombuffer(blake2b(b"weir-shadow", digest_size=16).digest(), "<i8").astype(np.int64)


def id_hashes(ids: Sequence[int | str]) -> NDArray[np.uint64]:
    """SipHash-1-3 of event ids, (n,); 5 is as "5"."""
    texts = [str(each).encode() for each in ids]
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    # With a byte more, since numpy makes no array of none.
    data = np.frombuffer(bytearray().join([*texts, b"\0"]), np.uint8)
    hashes = np.empty(len(texts), np.int64)
    siphash(data, ends, _KEY, hashes)
    return hashes.view(np.uint64)


def partitions_of_ids(hashes: NDArray[np.uint64], partitions: int) -> NDArray[np.int64]:
    """Partition of the topic of shadow scores for each event, (n,)."""
    return (hashes % np.uint64(partitions)).astype(np.int64)
