"""Compiled: which entities nothing needs any more."""

from streams.features.kernels.blocks import LENGTH, LOST, OFFSET, START, forget
from streams.features.kernels.journal import note_forgotten, records
from streams.features.kernels.numba_options import kernel


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
