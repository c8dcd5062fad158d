"""Compiled counting of feature vectors over the bins of a reference."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streams.base.compiled_code import kept_njit


class Binning:
    """The bins of some features; each has as many as it needs.

    Args:
        edges: of each feature, float32 values that rise; see `Histogram`.

    Attributes:
        bins: of the widest feature, below, above and missing included; the places behind those
            that a narrower one needs stay 0.
        sizes: how many of them each feature needs, (features,).
    """

    def __init__(self, edges: Sequence[Sequence[float]]) -> None:
        counts = np.array([len(each) for each in edges], np.int64)
        self.sizes = counts + 2
        self.bins = int(self.sizes.max(initial=2))
        # A power of two, and more than there are edges: so the search needs no end.
        width = 1 << int(counts.max(initial=1)).bit_length()
        self._bounds = np.full((len(edges), width), np.inf, np.float32)
        for bounds, each in zip(self._bounds, edges, strict=True):
            bounds[: len(each)] = each
        self._edges = counts

    def count(
        self, features: NDArray[np.float32], cells: NDArray[np.int64], into: NDArray[np.int64]
    ) -> None:
        """Add feature vectors (n, features) to counts (cells, features, bins).

        Args:
            cells: to which cell each vector goes, (n,).
            into: in the order of `Histogram.counts`.
        """
        _count(features, self._bounds, self._edges, cells, into)

    def count_by(
        self, features: NDArray[np.float32], places: NDArray[np.int64], into: NDArray[np.int64]
    ) -> None:
        """Add feature vectors (n, features) to counts (parts, features, bins), each to k of them.

        Args:
            places: to which parts each vector goes, (n, k).
            into: see `count`.
        """
        _count_by(features, self._bounds, self._edges, places, into)


@kept_njit(nogil=True, _nrt=False, inline="always")
def _bin(value: float, bounds: NDArray[np.float32], last: int) -> int:
    """The bin of a value among bounds, of which `last` are no infinity."""
    if value != value:
        return last + 1
    place = 0
    step = bounds.shape[0] >> 1
    while step:
        # Without a branch: which way a value goes can't be foretold.
        place += step * (value >= bounds[place + step - 1])
        step >>= 1
    return min(place, last)


@kept_njit(nogil=True, _nrt=False)
def _count(
    features: NDArray[np.float32],
    bounds: NDArray[np.float32],
    edges: NDArray[np.int64],
    cells: NDArray[np.int64],
    into: NDArray[np.int64],
) -> None:
    for row in range(features.shape[0]):
        cell = cells[row]
        for column in range(features.shape[1]):
            place = _bin(features[row, column], bounds[column], edges[column])
            into[cell, column, place] += 1


@kept_njit(nogil=True, _nrt=False)
def _count_by(
    features: NDArray[np.float32],
    bounds: NDArray[np.float32],
    edges: NDArray[np.int64],
    places: NDArray[np.int64],
    into: NDArray[np.int64],
) -> None:
    for row in range(features.shape[0]):
        for column in range(features.shape[1]):
            place = _bin(features[row, column], bounds[column], edges[column])
            for part in places[row]:
                into[part, column, place] += 1
