"""The order in which records count, as docs/operations.md promises for history.

Of a partition a record queues at the latest time so far; partitions are merged by that; equal
times go by event id, each partition's own order kept; labels come before events of their time.
"""

from collections.abc import Sequence
from heapq import merge

import numpy as np
from numpy.typing import NDArray


def in_order(
    times: Sequence[NDArray[np.int64]], ids: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Merge partitions.

    Args:
        times, ids: for each partition its records' times and ids, ascending in offset.

    Returns:
        ``(rows, turns)``: positions in the concatenated partitions in the order in which they
        count, and the time at which each queues, ascending.
    """
    turns = np.concatenate([np.maximum.accumulate(each) for each in times])
    which = np.repeat(np.arange(len(times)), [each.size for each in times])
    all_ids = np.concatenate(list(ids))
    rows = np.argsort(turns, kind="stable")
    turns = turns[rows]
    edges = np.flatnonzero(np.diff(turns, prepend=turns[0] - 1, append=turns[-1] + 1))
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if high - low > 1:
            tied = rows[low:high]
            runs = [tied[which[tied] == each].tolist() for each in np.unique(which[tied])]
            if len(runs) > 1:
                rows[low:high] = list(merge(*runs, key=all_ids.__getitem__))
    return rows, turns
