"""Compiled: where the event with a given id is remembered, so that its label finds it.

An open-addressing table, one row of three for each id: the id's hash, the slot of its entity or
a mark that is negative, and the event's time. Where a row stands depends on the state's secret.
"""

import numpy as np
from numpy.typing import NDArray

from streams.features.kernels.keyed_mix import mix
from streams.features.kernels.numba_options import inlined, kernel
from streams.features.kernels.prefetch import prefetch

KEY, SLOT, SEEN = 0, 1, 2
EMPTY = -2
_WAITING = -3  # and below: a label that waits for its event
_WORD, _AHEAD = 8, 12  # bytes of a number; how many entries ahead to load memory
NEVER = np.iinfo(np.int64).min
"""What a label has seen that came before any event."""


@inlined
def waiting_mark(number, label):  # type: ignore[no-untyped-def]
    """What stands for the slot of an event that a label waits for, the number-th that had to."""
    return _WAITING - 2 * number - (1 if label > 0 else 0)


@inlined
def number_of(mark):  # type: ignore[no-untyped-def]
    """Which label it was that had to wait."""
    return (_WAITING - mark) >> 1


@inlined
def waiting_label(mark):  # type: ignore[no-untyped-def]
    """What the label says: 1.0 for fraud, 0.0 for legitimate."""
    return np.float64((_WAITING - mark) & 1)


@inlined
def since(seen, first):  # type: ignore[no-untyped-def]
    """The event time that an entry is of; labels before any event count from the first one."""
    return first if seen == NEVER else seen


@inlined
def home(index, secret, key):  # type: ignore[no-untyped-def]
    """Row where the search for a key begins."""
    return mix(key, secret) & (index.shape[0] - 1)


@inlined
def prefetch_entry(index, secret, key):  # type: ignore[no-untyped-def]
    """Load where the search for a key begins."""
    prefetch(index, home(index, secret, key) * index.shape[1] * _WORD)


@inlined
def find_place(index, secret, key):  # type: ignore[no-untyped-def]
    """Row of a key in the index, or the empty row where it belongs."""
    mask = index.shape[0] - 1
    place = home(index, secret, key)
    while index[place, SLOT] != EMPTY and index[place, KEY] != key:
        place = (place + 1) & mask
    return place


@kernel
def remove(index, secret, place):  # type: ignore[no-untyped-def]
    """Take out an entry, and move up those that were put behind it for want of a better place."""
    mask = index.shape[0] - 1
    hole = place
    behind = (hole + 1) & mask
    while index[behind, SLOT] != EMPTY:
        wanted = home(index, secret, index[behind, KEY])
        if (behind - wanted) & mask >= (behind - hole) & mask:
            for column in range(index.shape[1]):
                index[hole, column] = index[behind, column]
            hole = behind
        behind = (behind + 1) & mask
    index[hole, SLOT] = EMPTY


@kernel
def count_kept(index, oldest, first):  # type: ignore[no-untyped-def]
    """How many entries `rebuild` would keep."""
    kept = 0
    for i in range(index.shape[0]):
        if index[i, SLOT] != EMPTY:
            seen = since(index[i, SEEN], first)
            kept += seen > oldest or seen == NEVER
    return kept


@kernel
def rebuild(old, index, secret, oldest, first):  # type: ignore[no-untyped-def]
    """Copy to an empty index what a window can still reach; ``(entries, labels that wait)``.

    Args:
        first: time of the first event of all, `NEVER` before it.
    """
    entries = waiting = 0
    for i in range(old.shape[0]):
        if old[i, SLOT] == EMPTY:
            continue
        seen = since(old[i, SEEN], first)
        if seen > oldest or seen == NEVER:
            place = find_place(index, secret, old[i, KEY])
            index[place, KEY] = old[i, KEY]
            index[place, SLOT] = old[i, SLOT]
            index[place, SEEN] = seen
            entries += 1
            waiting += old[i, SLOT] < EMPTY
    return entries, waiting


@kernel
def collect(index, entries):  # type: ignore[no-untyped-def]
    """Copy all entries of an index to the rows of `entries`, which are as many."""
    row = 0
    for i in range(index.shape[0]):
        if index[i, SLOT] != EMPTY:
            for column in range(index.shape[1]):
                entries[row, column] = index[i, column]
            row += 1


@kernel
def refill(entries, index, secret):  # type: ignore[no-untyped-def]
    """Put entries into an empty index."""
    for row in range(entries.shape[0]):
        if row + _AHEAD < entries.shape[0]:
            prefetch_entry(index, secret, entries[row + _AHEAD, KEY])
        place = find_place(index, secret, entries[row, KEY])
        for column in range(index.shape[1]):
            index[place, column] = entries[row, column]


def new_index(places: int, columns: int = 3) -> NDArray[np.int64]:
    """Return an empty id index; `places` is a power of two."""
    index = np.empty((places, columns), np.int64)
    index[:, SLOT] = EMPTY
    return index
