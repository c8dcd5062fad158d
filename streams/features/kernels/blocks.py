"""Compiled: one block of remembered events for each entity, all in one arena.

A block is ``OFFSET, CAPACITY, START, LENGTH, LOST, FLOOR, TILE_ROW, SEQUENCE``: its events stand at
offset + start and after, contiguous and ascending in time; LOST is the time of the latest
event that went into a tile for want of room, what was up to the time FLOOR was forgotten before
the block's first event came, TILE_ROW is 0 as long as no tile was needed, and SEQUENCE is the
number, among all entities' events, of the one that came last. A block that is full moves to one of
twice the size; the place that it leaves is chained into the free list of its size. The chunks that
a block fills are summed.
"""

import numpy as np
from numpy.typing import NDArray

from streams.features.kernels.chunk_sums import CHUNK, sum_chunks
from streams.features.kernels.enums import Counter
from streams.features.kernels.id_index import NEVER
from streams.features.kernels.numba_options import inlined, kernel

OFFSET, CAPACITY, START, LENGTH, LOST, FLOOR, TILE_ROW, SEQUENCE = range(8)
BLOCK = 8
"""Numbers of a block."""
_USED = int(Counter.USED)
_SMALLEST_CLASS = 2  # log2 of the first block's capacity


@inlined
def upper_bound(times, low, high, time):  # type: ignore[no-untyped-def]
    """First position in ``low .. high`` whose time is later than `time`."""
    while low < high:
        middle = (low + high) >> 1
        if times[middle] <= time:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def upper_bound_from_newest(times, low, high, time):  # type: ignore[no-untyped-def]
    """The same as `upper_bound`, in steps that grow with the distance from `high`."""
    step = 1
    while high - step >= low and times[high - step] > time:
        high -= step
        step <<= 1
    return upper_bound(times, max(low, high - step), high, time)


@inlined
def count_old(times, blocks, slot, oldest):  # type: ignore[no-untyped-def]
    """How many events of a block are not later than `oldest`."""
    first = blocks[slot, OFFSET] + blocks[slot, START]
    end = first + blocks[slot, LENGTH]
    position = first
    while position < end and times[position] <= oldest:
        position += 1
    return position - first


@inlined
def forget(blocks, slot, count):  # type: ignore[no-untyped-def]
    """Drop the oldest events of a block."""
    blocks[slot, START] += count
    blocks[slot, LENGTH] -= count


@kernel
def _move(times, values, hashes, source, target, length):  # type: ignore[no-untyped-def]
    """Move events within the arena; `target` may overlap `source` from below."""
    for i in range(length):
        times[target + i] = times[source + i]
    for column in range(values.shape[0]):
        for i in range(length):
            values[column, target + i] = values[column, source + i]
    if hashes.size:
        for i in range(length):
            hashes[target + i] = hashes[source + i]


@inlined
def make_room(times, values, hashes, chunks, blocks, free, counters, slot):  # type: ignore[no-untyped-def]
    """Make sure that one more event fits behind a block's last; False when the arena is full."""
    offset, capacity = blocks[slot, OFFSET], blocks[slot, CAPACITY]
    start, length = blocks[slot, START], blocks[slot, LENGTH]
    if start + length < capacity:
        return True
    # Moving down only when half the block is free keeps the cost per event constant.
    if capacity and length <= capacity // 2:
        _move(times, values, hashes, offset + start, offset, length)
        if capacity >= CHUNK:
            sum_chunks(values, chunks, offset, offset + length)
        blocks[slot, START] = 0
        return True
    size_class = _SMALLEST_CLASS
    while (1 << size_class) <= capacity:
        size_class += 1
    larger = 1 << size_class
    if free[size_class] >= 0:
        target = free[size_class]
        free[size_class] = times[target]
    else:
        target = counters[_USED]
        if target + larger > times.size:
            return False
        counters[_USED] = target + larger
    _move(times, values, hashes, offset + start, target, length)
    if larger >= CHUNK:
        sum_chunks(values, chunks, target, target + length)
    if capacity:
        times[offset] = free[size_class - 1]
        free[size_class - 1] = offset
    blocks[slot, OFFSET] = target
    blocks[slot, CAPACITY] = larger
    blocks[slot, START] = 0
    return True


@inlined
def insert(times, values, hashes, blocks, slot, time, event_hash):  # type: ignore[no-untyped-def]
    """Open a place for an event behind all that are not later; its position.

    The caller has made room, and writes the event's values.
    """
    first = blocks[slot, OFFSET] + blocks[slot, START]
    position = first + blocks[slot, LENGTH]
    while position > first and times[position - 1] > time:
        times[position] = times[position - 1]
        for column in range(values.shape[0]):
            values[column, position] = values[column, position - 1]
        if hashes.size:
            hashes[position] = hashes[position - 1]
        position -= 1
    times[position] = time
    if hashes.size:
        hashes[position] = event_hash
    blocks[slot, LENGTH] += 1
    return position


@kernel
def free_blocks(times, blocks, free, slots):  # type: ignore[no-untyped-def]
    """Let others take over the places of some blocks."""
    for slot in slots:
        offset, capacity = blocks[slot, OFFSET], blocks[slot, CAPACITY]
        if capacity:
            size_class = _SMALLEST_CLASS
            while (1 << size_class) < capacity:
                size_class += 1
            times[offset] = free[size_class]
            free[size_class] = offset
        for column in range(BLOCK):
            blocks[slot, column] = 0
        blocks[slot, LOST] = NEVER


@kernel
def sum_blocks(times, values, chunks, blocks):  # type: ignore[no-untyped-def]
    """Sum the chunks of every block that fills some."""
    for slot in range(blocks.shape[0]):
        if blocks[slot, CAPACITY] >= CHUNK:
            first = blocks[slot, OFFSET] + blocks[slot, START]
            sum_chunks(values, chunks, first, first + blocks[slot, LENGTH])


@kernel
def free_places(times, free, used):  # type: ignore[no-untyped-def]
    """How many of the first `used` places are in free lists; -1 where a list leads astray."""
    total = 0
    for size_class in range(free.size):
        place = free[size_class]
        while place != -1:
            if place < 0 or place + (1 << size_class) > used or total > used:
                return -1
            total += 1 << size_class
            place = times[place]
    return total


def new_blocks(count: int) -> NDArray[np.int64]:
    """Return blocks without events."""
    blocks = np.zeros((count, BLOCK), np.int64)
    blocks[:, LOST] = NEVER
    return blocks
