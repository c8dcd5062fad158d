"""What was gathered of a candidate by now: all that a comparison is made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.shadow.comparison.sample import Sample
from inference.shadow.comparison.tally import Tally
from inference.shadow.statistics.similarity import Similarity

RECENT_DAYS = 7


@dataclass(frozen=True)
class Gathered:
    """Of all partitions together.

    Attributes:
        tally: since the pairing began.
        recent: how alike the models were in the last 7 days of event time.
        sample: of mature events.
        waiting: event times of the pairs that are not mature yet, ms, ascending, (n,).
        waiting_weights: how many events each of them stands for, (n,).
        watermark: the event time, ms, that all partitions have reached; None without events.
    """

    tally: Tally
    recent: Similarity
    sample: Sample
    waiting: NDArray[np.int64]
    waiting_weights: NDArray[np.int64]
    watermark: int | None
