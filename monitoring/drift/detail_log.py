"""Details of the cells since a feature may have moved: kept until it has not."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from monitoring.counting.details import FeatureDetails, of_feature, whole_vectors

_MOST_CELLS, _MOST_BYTES = 2_000, 32 << 20
_MOST = 300
"""Details that are put together: of the first events of a change, as good as later ones."""


class DetailLog:
    """Details by cell, in the order of time.

    Args:
        entries: of each cell, by its begin, ms.
    """

    def __init__(self, entries: dict[int, list[bytes]]) -> None:
        self._cells = deque(sorted(entries.items()))
        self._held = sum(_size(details) for _, details in self._cells)

    @property
    def entries(self) -> dict[int, list[bytes]]:
        """All that is kept."""
        return dict(self._cells)

    def add(self, start: int, details: list[bytes]) -> None:
        """Add those of a later cell."""
        self._cells.append((start, details))
        self._held += _size(details)
        while len(self._cells) > _MOST_CELLS or self._held > _MOST_BYTES:
            self._drop()

    def forget(self, before: int) -> None:
        """Keep no cell that begins before then, ms."""
        while self._cells and self._cells[0][0] < before:
            self._drop()

    def _drop(self) -> None:
        _, details = self._cells.popleft()
        self._held -= _size(details)

    def of(self, feature: int, since: int) -> FeatureDetails:
        """What is known of a feature since then, ms."""
        return of_feature(self._since(since), feature)

    def vectors(self, since: int, features: int) -> NDArray[np.float32]:
        """Some of the vectors since then, in the order of time, (n, features)."""
        return whole_vectors(self._since(since), features)

    def _since(self, since: int) -> list[bytes]:
        details = [each for start, cell in self._cells if start >= since for each in cell]
        return details[:_MOST]


def _size(details: list[bytes]) -> int:
    return sum(map(len, details))
