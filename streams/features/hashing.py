"""Numbers that stand for ids and values where only sameness matters, the same in every process."""

from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

_EXACT = 2.0**53
"""Integers below this are float64 without rounding."""


def hash_ids(ids: list[Any]) -> NDArray[np.int64]:
    """64-bit hashes of event ids, shape (n,); an int is its own hash."""
    if ids and isinstance(ids[0], str):
        digests = np.fromiter(
            map(xxhash.xxh3_64_intdigest, map(str.encode, ids)), np.uint64, len(ids)
        )
        return digests.view(np.int64)
    return np.array(ids, dtype=np.int64)


def exact_ids(ids: list[Any], *, texts: bool) -> NDArray[np.int64]:
    """Event ids as words that are the same for the same id only.

    An int is itself, shape (n, 1). Texts are hashed to 128 bits, shape (n, 2): among a billion ids
    the odds that any two share theirs are less than one to 10**20.
    """
    if not texts:
        return np.array(ids, np.int64).reshape(-1, 1)
    digests = b"".join(map(xxhash.xxh3_128_digest, map(str.encode, ids)))
    return np.frombuffer(digests, "<i8").reshape(-1, 2)


def hash_texts(values: list[str | None]) -> NDArray[np.float64]:
    """Strings as whole numbers of 52 bits, which float64 holds exactly; NaN where missing."""
    return np.array([np.nan if value is None else _hash(value) for value in values], np.float64)


def hash_integers(values: list[int | None], numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integers as float64, hashed like strings where rounding would make neighbours equal.

    Args:
        numbers: the same values as float64, NaN where missing.
    """
    large = np.flatnonzero(np.abs(numbers) >= _EXACT).tolist()
    if large:
        numbers = numbers.copy()
        numbers[large] = [_hash(str(values[position])) for position in large]
    return numbers


def _hash(text: str) -> float:
    return float(xxhash.xxh3_64_intdigest(text.encode()) >> 12)
