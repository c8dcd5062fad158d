"""Hashes of event ids, the same in every process: where the pairs of an event are."""

import numpy as np
from numpy.typing import NDArray

from inference.routing.points import Points

id_hashes = Points(b"weir-shadow").hashes
"""Of event ids, uint64 (n,); 5 is as "5"."""


def partitions_of_ids(hashes: NDArray[np.uint64], partitions: int) -> NDArray[np.int64]:
    """Partition of the topic of shadow scores for each event, (n,)."""
    return (hashes % np.uint64(partitions)).astype(np.int64)
