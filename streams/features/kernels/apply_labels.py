"""Compiled: labels find the events that they are about."""

from streams.features.kernels.blocks import (
    CAPACITY,
    FLOOR,
    LENGTH,
    LOST,
    OFFSET,
    START,
    TILE_ROW,
    upper_bound,
)
from streams.features.kernels.chunk_sums import CHUNK, sum_chunks
from streams.features.kernels.coldest import LABELS, oldest_label, put
from streams.features.kernels.enums import Counter
from streams.features.kernels.id_index import (
    EMPTY,
    KEY,
    NEVER,
    SEEN,
    SLOT,
    find_place,
    remove,
    since,
    waiting_label,
    waiting_mark,
)
from streams.features.kernels.journal import note_entry, note_labelled, note_tile, records
from streams.features.kernels.numba_options import inlined, kernel
from streams.features.kernels.tiles import NUMBER, OF_COLUMN, SUM, place_of

_NEWEST, _FIRST = int(Counter.NEWEST), int(Counter.FIRST)
_LABELS, _WAITING, _DROPPED = (
    int(each) for each in (Counter.LABELS, Counter.WAITING, Counter.DROPPED_LABELS)
)


@kernel
def apply_label(  # type: ignore[no-untyped-def]
    arena,
    blocks,
    index,
    secret,
    tiles,
    journal,
    counters,
    limits,
    cold,
    label_column,
    event_hash,
    label,
):
    """Write a label to the event that it is about; ``(entries that the index gained, found it)``.

    A label that comes before its event waits in the index. Of events that are too old for any
    window nothing is known, whether or not they are in the index still.
    """
    times, values, hashes, chunks = arena
    newest = counters[_NEWEST]
    place = find_place(index, secret, event_hash)
    slot = index[place, SLOT]
    if slot < 0 or index[place, SEEN] <= newest - limits[0]:
        if records(journal):
            note_entry(journal, index, place, event_hash)
        index[place, KEY] = event_hash
        index[place, SLOT] = waiting_mark(counters[_LABELS], label)
        index[place, SEEN] = newest
        gained = 1 if slot == EMPTY else 0
        gained -= _let_wait(index, secret, journal, counters, limits, cold, slot, event_hash)
        return gained, 0
    time = index[place, SEEN]
    first = blocks[slot, OFFSET] + blocks[slot, START]
    end = first + blocks[slot, LENGTH]
    position = upper_bound(times, first, end, time) - 1
    while position >= first and times[position] == time:
        if hashes[position] == event_hash:
            if records(journal):
                note_labelled(journal, slot, position - first, values[label_column, position])
            values[label_column, position] = label
            if blocks[slot, CAPACITY] >= CHUNK:
                sum_chunks(values, chunks, position, min(position + CHUNK, end))
            return 0, 1
        position -= 1
    # What came up to the floor was another entity's, which had the slot before.
    in_tile = blocks[slot, FLOOR] < time <= blocks[slot, LOST]
    if label > 0 and first < end and blocks[slot, TILE_ROW] and in_tile:
        _label_tile(blocks, tiles, journal, label_column, slot, time)
    return 0, 1


@kernel
def _let_wait(index, secret, journal, counters, limits, cold, before, key):  # type: ignore[no-untyped-def]
    """Number a label that begins to wait; how many others leave for it.

    Args:
        before: what stood in its place for a slot.
    """
    _, labels, sizes, _ = cold
    put(labels, sizes, LABELS, counters[_LABELS], 0, key)
    counters[_LABELS] += 1
    if before >= EMPTY:
        counters[_WAITING] += 1
    if counters[_WAITING] <= limits[4]:
        return 0
    place = oldest_label(labels, sizes, index, secret)
    seen = since(index[place, SEEN], counters[_FIRST])
    # One that waits for no event in time would not be missed.
    if seen == NEVER or counters[_NEWEST] == NEVER or seen > counters[_NEWEST] - limits[0]:
        counters[_DROPPED] += 1
    if records(journal):
        note_entry(journal, index, place, index[place, KEY])
    remove(index, secret, place)
    counters[_WAITING] -= 1
    return 1


@kernel
def _label_tile(blocks, tiles, journal, label_column, slot, time):  # type: ignore[no-untyped-def]
    """Count one more fraud in an event's tile: what each of its events was is no longer known."""
    ends, sums, length_ms = tiles
    row = blocks[slot, TILE_ROW] - 1
    place, is_there, _ = place_of(ends, row, length_ms, blocks[slot, FLOOR], time)
    at = 1 + OF_COLUMN * label_column
    if is_there and sums[row, place, at + SUM] < sums[row, place, at + NUMBER]:
        if records(journal):
            note_tile(journal, ends, sums, row, place)
        sums[row, place, at + SUM] += 1.0


@inlined
def register(index, secret, journal, counters, event_hash, slot, time):  # type: ignore[no-untyped-def]
    """Note where an event is; ``(its label, entries that the index gained, had a label)``."""
    place = find_place(index, secret, event_hash)
    before = index[place, SLOT]
    if records(journal):
        note_entry(journal, index, place, event_hash)
    index[place, KEY] = event_hash
    index[place, SLOT] = slot
    index[place, SEEN] = time
    waited = 1 if before < EMPTY else 0
    counters[_WAITING] -= waited
    return waiting_label(before) if waited else 0.0, (1 if before == EMPTY else 0), waited
