"""What the feature state answers for a batch of events."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class FeatureRows(NamedTuple):
    """Features of n events, and whether their windows were whole.

    Attributes:
        matrix: float64, shape (n, len(plan.names)), NaN where missing.
        late: the event lies more than the allowed lateness behind what one of its entities has
            seen (behind all that was seen, for one of which nothing is remembered), so that events
            of its windows may be forgotten; bool, shape (n,).
        approximate: a window of it reaches to events that an entity had to forget, because it had
            more than its share; bool, shape (n,).
    """

    matrix: NDArray[np.float64]
    late: NDArray[np.bool_]
    approximate: NDArray[np.bool_]
