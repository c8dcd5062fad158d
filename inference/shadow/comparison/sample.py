"""Mature events for curves: their labels, and what both models said of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLED = np.dtype(
    [
        ("hash", "<u8"),
        ("key", "<u8"),
        ("day", "<i4"),
        ("first", "<f4"),
        ("second", "<f4"),
        ("doublings", "u1"),
    ]
)
"""One mature event, in 29 bytes, its day in days since the epoch; see `ROW` in ``rows.py``."""


@dataclass(frozen=True)
class Sample:
    """n mature events that both have scored, (n,) each, in the order of their hashes.

    Attributes:
        keys, days: hashes of the events' keys, and their days since the epoch.
        first, second: probabilities, champion's and candidate's.
        weights: how many events each stands for.
    """

    frauds: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    days: NDArray[np.int32]
    first: NDArray[np.float32]
    second: NDArray[np.float32]
    weights: NDArray[np.float64]

    @property
    def is_whole(self) -> bool:
        """Whether no event was left out."""
        return bool((self.weights == 1).all())

    @classmethod
    def of(cls, parts: list[tuple[bool, int, NDArray[np.void]]]) -> "Sample":
        """Put together what partitions have: whether frauds, doublings, and rows of `SAMPLED`."""
        rows = np.concatenate([np.empty(0, SAMPLED), *(rows for _, _, rows in parts)])
        frauds = np.repeat([fraud for fraud, _, _ in parts], [len(rows) for _, _, rows in parts])
        doubled = np.repeat([each for _, each, _ in parts], [len(rows) for _, _, rows in parts])
        order = np.argsort(rows["hash"], kind="stable")  # sums of floats depend on it
        weights = np.exp2(rows["doublings"] + doubled.astype(np.float64)) if len(rows) else doubled
        return cls(
            frauds.astype(np.bool_)[order],
            rows["key"][order],
            rows["day"][order],
            rows["first"][order],
            rows["second"][order],
            np.asarray(weights, np.float64)[order],
        )
