"""What the feature state answers for a batch of events."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class FeatureRows(NamedTuple):
    """Features of n events, and whether their windows were whole.

    Attributes:
        matrix: float64, shape (n, len(plan.names)), NaN where missing.
        late: the event lies so far behind what one of its entities has seen, or behind the whole
            stream where that entity is unknown or has label features, that events of its windows
            may be forgotten: more than the allowed lateness, or since such an entity may have had
            to leave, for there were too many; bool, shape (n,).
        approximate: a window of it reaches to events that went into tiles, because an entity had
            more than its share; bool, shape (n,).
    """

    matrix: NDArray[np.float64]
    late: NDArray[np.bool_]
    approximate: NDArray[np.bool_]

    def take(self, places: NDArray[np.intp]) -> "FeatureRows":
        """The rows at these places, in their order."""
        return FeatureRows(self.matrix[places], self.late[places], self.approximate[places])
