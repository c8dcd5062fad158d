"""Compiled: which entities nothing needs any more, and which have to make room for others."""

from streams.features.kernels.blocks import (
    FLOOR,
    LENGTH,
    LOST,
    OFFSET,
    START,
    TILE_ROW,
    count_old,
    forget,
)
from streams.features.kernels.enums import Counter
from streams.features.kernels.id_index import SEEN, SLOT, find_place, remove
from streams.features.kernels.journal import note_entry, note_forgotten, note_lost, records
from streams.features.kernels.numba_options import kernel

_LIVE, _EVICTED = int(Counter.LIVE), int(Counter.EVICTED)
_OUSTED, _OUSTED_TO = int(Counter.OUSTED), int(Counter.OUSTED_TO)


@kernel
def find_idle(times, blocks, start, total, oldest, idle):  # type: ignore[no-untyped-def]
    """Look at as many blocks as `idle` has room for, from `start` on and round.

    Args:
        total: how many blocks there are.
        oldest: what is not later than this, no window of an event in time reaches.
        idle: filled with the slots whose events are all so old.

    Returns:
        ``(found, events)``: how many slots, and how many events in them.
    """
    found = events = 0
    for step in range(idle.size):
        slot = (start + step) % total
        length = blocks[slot, LENGTH]
        if length == 0 or blocks[slot, LOST] > oldest:
            continue
        if times[blocks[slot, OFFSET] + blocks[slot, START] + length - 1] <= oldest:
            idle[found] = slot
            found += 1
            events += length
    return found, events


@kernel
def forget_blocks(journal, times, values, hashes, blocks, slots):  # type: ignore[no-untyped-def]
    """Forget all events of some blocks; the journal, where it records, has room for them."""
    for slot in slots:
        if records(journal):
            note_forgotten(journal, times, values, hashes, blocks, slot, blocks[slot, LENGTH])
        forget(blocks, slot, blocks[slot, LENGTH])


@kernel
def forget_oldest(journal, arena, blocks, index, secret, slot, count):  # type: ignore[no-untyped-def]
    """Forget the oldest events of an entity, their ids too; how many entries the index has lost.

    The journal, where it records, has room.
    """
    times, values, hashes, _ = arena
    first = blocks[slot, OFFSET] + blocks[slot, START]
    lost = 0
    if hashes.size:
        for position in range(first, first + count):
            place = find_place(index, secret, hashes[position])
            if index[place, SLOT] == slot and index[place, SEEN] == times[position]:
                if records(journal):
                    note_entry(journal, index, place, hashes[position])
                remove(index, secret, place)
                lost += 1
    if records(journal):
        note_forgotten(journal, times, values, hashes, blocks, slot, count)
    forget(blocks, slot, count)
    return lost


@kernel
def erase_before(journal, arena, blocks, index, secret, slot, cut):  # type: ignore[no-untyped-def]
    """Forget what an entity has of before a time; ``(events, entries that the index has lost)``.

    What stands in tiles, as sums over times, is looked at no more. The journal, where it records,
    has room for all events of the entity, and four words.
    """
    count = count_old(arena[0], blocks, slot, cut - 1)
    if blocks[slot, TILE_ROW] and blocks[slot, FLOOR] < cut - 1:
        if records(journal):
            note_lost(journal, blocks, slot)
        blocks[slot, FLOOR] = cut - 1
    if count == 0:
        return 0, 0
    return count, forget_oldest(journal, arena, blocks, index, secret, slot, count)


@kernel
def oust(journal, arena, blocks, index, secret, counters, slot, oldest):  # type: ignore[no-untyped-def]
    """Forget all of an entity, its events' ids too; how many entries the index has lost.

    Its slot remains its own for now. The journal, where it records, has room.

    Args:
        oldest: an entity whose latest event is not later than this would not be missed.
    """
    length = blocks[slot, LENGTH]
    last = arena[0][blocks[slot, OFFSET] + blocks[slot, START] + length - 1]
    lost = forget_oldest(journal, arena, blocks, index, secret, slot, length)
    counters[_LIVE] -= 1
    counters[_EVICTED if last <= oldest else _OUSTED] += 1
    counters[_OUSTED_TO] = max(counters[_OUSTED_TO], last)
    return lost
