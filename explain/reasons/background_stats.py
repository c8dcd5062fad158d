"""What is usual for a feature, by a package's background."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class BackgroundStats:
    """The middle and the spread of each column of a background.

    Attributes:
        values: float64 (k,), medians; NaN where all values are missing.
        spread: float64 (k,), mean absolute deviations from the median; 0 where all are equal.
    """

    values: NDArray[np.float64]
    spread: NDArray[np.float64]

    def departure(self, column: int, value: float) -> float:
        """How far a value is from the typical one, in spreads; missing values are nearest."""
        distance = abs(value - float(self.values[column]))
        if np.isnan(distance):
            return 0.0
        spread = float(self.spread[column])
        return distance / spread if spread > 0 else (np.inf if distance > 0 else 0.0)


def background_stats_of(background: NDArray[np.float32]) -> BackgroundStats:
    """The typical values of a background, float32 (b, k).

    The spread is no median, which would be 0 for a feature that is mostly 0, such as a rate of
    frauds.
    """
    columns = background.astype(np.float64).T
    known = [column[~np.isnan(column)] for column in columns]
    medians = [float(np.median(column)) if len(column) else np.nan for column in known]
    spreads = [
        float(np.abs(column - median).mean()) if len(column) else 0.0
        for column, median in zip(known, medians, strict=True)
    ]
    return BackgroundStats(np.array(medians), np.array(spreads))
