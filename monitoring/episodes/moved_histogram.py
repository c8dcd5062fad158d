"""Where a feature's events lie and where they lay before: so much that a person sees the change."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray


class MovedHistogram(msgspec.Struct, frozen=True):
    """Over the bins of the reference; see `inference.packages.drift_reference.Histogram`.

    Attributes:
        edges: of the bins, to six digits.
        now: events in each bin, two more than there are edges.
        before: the shares that were to be expected of them, by the reference, to four digits.
    """

    edges: list[float]
    now: list[int]
    before: list[float]

    def __post_init__(self) -> None:
        if not len(self.edges) + 2 == len(self.now) == len(self.before):
            raise ValueError(f"{len(self.edges)} edges need two more counts, and shares")
        if min(self.now) < 0 or not 0 <= min(self.before) <= max(self.before) <= 1:
            raise ValueError("a count, or a share, that is none")

    @classmethod
    def of(
        cls, edges: Sequence[float], now: NDArray[np.int64], before: NDArray[np.float64]
    ) -> "MovedHistogram":
        """Of counts and shares, (bins,)."""
        return cls(
            [float(f"{each:.6g}") for each in edges],
            now.tolist(),
            [float(f"{each:.4g}") for each in before],
        )


def bin_name(place: int, edges: Sequence[float]) -> str:
    """What lies in a bin, for people."""
    if place == len(edges) + 1:
        return "missing"
    if place == 0:
        return f"below {edges[0]:g}"
    if place == len(edges):
        return f"{edges[-1]:g} or more"
    return f"from {edges[place - 1]:g} up to {edges[place]:g}"
