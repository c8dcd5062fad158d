"""Events that the rules were asked about."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class VotedRows(NamedTuple):
    """Some events, either all mature or all young.

    Attributes:
        mature: whether their labels are those that they will keep.
        times: UTC milliseconds, (n,).
        votes: of each rule, int8 (n, r).
        labels: 1 for fraud, 0 for legitimate, -1 where nothing is known, int8 (n,).
        weights: how many events each stands for, (n,).
        matrix: features, float32 (n, k).
        answers: of an archive: ``event_id``, ``key``, ``event_time``, ``decision`` and
            ``probability`` of n events.
    """

    mature: bool
    times: NDArray[np.int64]
    votes: NDArray[np.int8]
    labels: NDArray[np.int8]
    weights: NDArray[np.float64]
    matrix: NDArray[np.float32]
    answers: pa.RecordBatch | None = None
