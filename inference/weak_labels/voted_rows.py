"""Events that the rules were asked about."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class VotedRows(NamedTuple):
    """Some events, either all mature or all young.

    Attributes:
        mature: whether their labels are those that they will keep.
        times: UTC milliseconds, (n,).
        votes: of each rule, int8 (n, r).
        labels: 1 for fraud, 0 for legitimate, -1 where nothing is known, int8 (n,).
        weights: how many events each stands for, (n,).
        ids: of the events, (n,).
        matrix: features, float32 (n, k).
    """

    mature: bool
    times: NDArray[np.int64]
    votes: NDArray[np.int8]
    labels: NDArray[np.int8]
    weights: NDArray[np.float64]
    ids: Sequence[Any]
    matrix: NDArray[np.float32]
