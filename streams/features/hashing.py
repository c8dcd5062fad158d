"""Numbers that stand for ids and values where only sameness matters.

They depend on a secret of the state that keeps them, so that whoever sends ids and values can't
choose two that meet. They go nowhere without it: a state that is written down carries its secret.
"""

import secrets
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streams.features.dump_format import CorruptStateError
from streams.features.kernels.keyed_mix import SECRET_WORDS
from streams.features.kernels.siphash import siphash

_EXACT = 2.0**53
"""Integers below this are float64 without rounding."""

_SAID, _UNSAID = np.int64(1 << 61), np.int64(~(1 << 62))


class Secret:
    """What the places and hashes in one state depend on: 32 bytes that nobody else knows.

    Attributes:
        words: the same as int64, for the kernels, shape (4,).
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != 8 * SECRET_WORDS:
            raise CorruptStateError("the secret of the dumped state is cut")
        self.key = key
        self.words: NDArray[np.int64] = np.array(np.frombuffer(key, "<i8"), np.int64)

    @classmethod
    def new(cls) -> Self:
        """A secret of the operating system's making."""
        return cls(secrets.token_bytes(8 * SECRET_WORDS))

    def hash_ids(self, ids: list[Any]) -> NDArray[np.int64]:
        """64-bit hashes of event ids, shape (n,); an int is its own hash."""
        if ids and isinstance(ids[0], str):
            return self._hash(ids, self.words[:2])
        return np.array(ids, dtype=np.int64)

    def exact_ids(self, ids: list[Any], *, texts: bool) -> NDArray[np.int64]:
        """Event ids as words that are the same for the same id only.

        An int is itself, shape (n, 1). Texts are hashed to 128 bits, shape (n, 2): among a billion
        ids the odds that any two share theirs are less than one to 10**20.
        """
        if not texts:
            return np.array(ids, np.int64).reshape(-1, 1)
        return np.stack([self._hash(ids, self.words[:2]), self._hash(ids, self.words[2:])], axis=1)

    def hash_texts(self, values: list[str | None]) -> NDArray[np.float64]:
        """Strings as float64 of which 62 bits are a hash; NaN where missing."""
        hashes = self._hash([value or "" for value in values], self.words[:2])
        # Neither NaN nor infinite, and no number so small that a processor may take it for zero.
        numbers = (hashes & _UNSAID | _SAID).view(np.float64)
        numbers[[value is None for value in values]] = np.nan
        return numbers

    def hash_integers(
        self, values: list[int | None], numbers: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Integers as float64, hashed like strings where rounding would make neighbours equal.

        Args:
            numbers: the same values as float64, NaN where missing.
        """
        large = np.flatnonzero(np.abs(numbers) >= _EXACT)
        if large.size:
            numbers = numbers.copy()
            numbers[large] = self.hash_texts([str(values[each]) for each in large.tolist()])
        return numbers

    @staticmethod
    def _hash(texts: list[str], key: NDArray[np.int64]) -> NDArray[np.int64]:
        encoded = list(map(str.encode, texts))
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        # With a byte more, since numpy makes no array of none.
        data = np.frombuffer(bytearray().join([*encoded, b"\0"]), np.uint8)
        hashes = np.empty(len(encoded), np.int64)
        siphash(data, ends, key, hashes)
        return hashes
