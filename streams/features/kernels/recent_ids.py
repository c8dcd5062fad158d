"""Compiled: which event ids a partition has brought lately, so that none is taken in twice.

A ring holds ids in the order in which they came, each with what the partition's clock said then;
that is its latest event time, which never goes back. So the oldest ids stand in front, and what a
ring does not overwrite can be brought back. A table with open addressing holds the numbers of the
ids that count, each plus one, by which the ring is read: four bytes a place.

Ids are numbered from 0. From `FLOOR` on the ring holds them, from `HEAD` on they count, and before
`TAIL` they end. `HEAD` follows from `TAIL` alone: those count that are recent enough by the clock
and among the latest so many.
"""

import numpy as np

from streams.features.kernels.id_index import NEVER
from streams.features.kernels.keyed_mix import mix
from streams.features.kernels.numba_options import inlined, kernel
from streams.features.kernels.prefetch import prefetch

FLOOR, HEAD, TAIL = 0, 1, 2
EMPTY = 0
_AHEAD, _BYTES = 12, 4  # how many ids ahead to load the table's memory; of a place


@inlined
def home(table, secret, key):  # type: ignore[no-untyped-def]
    """Place of the table where the search for an id begins; any size will do."""
    return ((mix(key, secret) >> 31) * table.shape[0]) >> 32


@kernel
def find(table, secret, keys, wanted, row):  # type: ignore[no-untyped-def]
    """Place of the id in a row of `wanted`, or the empty place where it belongs."""
    place = home(table, secret, wanted[row, 0])
    while table[place] != EMPTY:
        at = (np.int64(table[place]) - 1) % keys.shape[0]
        same = True
        for word in range(keys.shape[1]):
            same &= keys[at, word] == wanted[row, word]
        if same:
            break
        place += 1
        if place == table.shape[0]:
            place = 0
    return place


@kernel
def remove(table, secret, keys, number):  # type: ignore[no-untyped-def]
    """Take an id out of the table, and move up those put behind it for want of a better place."""
    size, capacity = table.shape[0], keys.shape[0]
    hole = find(table, secret, keys, keys, number % capacity)
    behind = (hole + 1) % size
    while table[behind] != EMPTY:
        wanted = home(table, secret, keys[(np.int64(table[behind]) - 1) % capacity, 0])
        if (behind - wanted) % size >= (behind - hole) % size:
            table[hole] = table[behind]
            hole = behind
        behind = (behind + 1) % size
    table[hole] = EMPTY


@kernel
def take_in(ids, times, limits, bounds, keys, clocks, table, secret, new):  # type: ignore[no-untyped-def]
    """Tell new ids from repeats, one after another, and remember the new ones.

    Args:
        ids, times: of n events, shapes (n, words) and (n,); ring and table have room for them.
        limits: ``(within, most)``: for how long by the partition's clock an id is remembered, to
            the millisecond, and how many are.
        new: set for each, shape (n,).
    """
    within, most = limits
    capacity = keys.shape[0]
    head, tail = bounds[HEAD], bounds[TAIL]
    clock = clocks[(tail - 1) % capacity] if tail > bounds[FLOOR] else NEVER
    for row in range(times.size):
        if row + _AHEAD < times.size:
            prefetch(table, home(table, secret, ids[row + _AHEAD, 0]) * _BYTES)
        time = max(clock, times[row])
        oldest = time - within
        place = find(table, secret, keys, ids, row)
        known = np.int64(table[place]) - 1
        if known >= 0 and clocks[known % capacity] >= oldest:
            new[row] = False
            continue
        if head < tail and (tail - head >= most or clocks[head % capacity] < oldest):
            while head < tail and (tail - head >= most or clocks[head % capacity] < oldest):
                remove(table, secret, keys, head)
                head += 1
            place = find(table, secret, keys, ids, row)
        new[row] = True
        at = tail % capacity
        for word in range(keys.shape[1]):
            keys[at, word] = ids[row, word]
        clocks[at] = clock = time
        tail += 1
        table[place] = tail
    bounds[HEAD], bounds[TAIL] = head, tail


@kernel
def go_back(tail, limits, bounds, keys, clocks, table, secret):  # type: ignore[no-untyped-def]
    """Forget the ids from `tail` on, and bring back what had been forgotten for these."""
    within, most = limits
    capacity, floor = keys.shape[0], max(bounds[FLOOR], tail - most)
    head = bounds[HEAD]
    for number in range(max(tail, head), bounds[TAIL]):
        remove(table, secret, keys, number)
    head = min(head, tail)
    if tail > floor:
        oldest = clocks[(tail - 1) % capacity] - within
        while head > floor and clocks[(head - 1) % capacity] >= oldest:
            head -= 1
            table[find(table, secret, keys, keys, head % capacity)] = head + 1
    bounds[HEAD], bounds[TAIL] = head, tail


@kernel
def release(since, settled, limits, bounds, clocks):  # type: ignore[no-untyped-def]
    """Let the ring overwrite what does not count any more for whoever has come to `settled`.

    Returns:
        How many from `since` on took the place of one that was recent enough to count.
    """
    within, most = limits
    size, floor, displaced = clocks.size, bounds[FLOOR], 0
    for number in range(max(since, floor + most), settled):
        displaced += clocks[(number - most) % size] >= clocks[number % size] - within
    if settled > floor:
        floor = max(floor, settled - most)
        oldest = clocks[(settled - 1) % size] - within
        while clocks[floor % size] < oldest:
            floor += 1
        bounds[FLOOR] = floor
    return displaced


@kernel
def move_ring(bounds, old_keys, old_clocks, keys, clocks):  # type: ignore[no-untyped-def]
    """Copy what a ring holds to one of another size."""
    for number in range(bounds[FLOOR], bounds[TAIL]):
        source, target = number % old_clocks.size, number % clocks.size
        for word in range(keys.shape[1]):
            keys[target, word] = old_keys[source, word]
        clocks[target] = old_clocks[source]


@kernel
def fill(bounds, keys, table, secret):  # type: ignore[no-untyped-def]
    """Put all ids that count into an empty table."""
    capacity, tail = keys.shape[0], bounds[TAIL]
    for number in range(bounds[HEAD], tail):
        if number + _AHEAD < tail:
            prefetch(table, home(table, secret, keys[(number + _AHEAD) % capacity, 0]) * _BYTES)
        table[find(table, secret, keys, keys, number % capacity)] = number + 1
