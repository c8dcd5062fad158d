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
from streams.features.kernels.id_index import (
    EMPTY,
    KEY,
    SEEN,
    SLOT,
    WAITING_FRAUD,
    WAITING_LEGITIMATE,
    find_place,
)
from streams.features.kernels.journal import note_entry, note_labelled, note_tile, records
from streams.features.kernels.numba_options import inlined, kernel
from streams.features.kernels.tiles import NUMBER, OF_COLUMN, SUM, place_of


@kernel
def apply_label(  # type: ignore[no-untyped-def]
    arena, blocks, index, secret, tiles, journal, label_column, event_hash, label, now
):
    """Write a label to the event that it is about; ``(entries that the index gained, found it)``.

    A label that comes before its event waits in the index.
    """
    times, values, hashes, chunks = arena
    place = find_place(index, secret, event_hash)
    slot = index[place, SLOT]
    if slot < 0:
        if records(journal):
            note_entry(journal, index, place, event_hash)
        index[place, KEY] = event_hash
        index[place, SLOT] = WAITING_FRAUD if label > 0 else WAITING_LEGITIMATE
        index[place, SEEN] = now
        return (1 if slot == EMPTY else 0), 0
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
    if label > 0 and first < end and blocks[slot, TILE_ROW] and time <= blocks[slot, LOST]:
        _label_tile(blocks, tiles, journal, label_column, slot, time)
    return 0, 1


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
def register(index, secret, journal, event_hash, slot, time):  # type: ignore[no-untyped-def]
    """Note where an event is; ``(its label, entries that the index gained, had a label)``."""
    place = find_place(index, secret, event_hash)
    before = index[place, SLOT]
    if records(journal):
        note_entry(journal, index, place, event_hash)
    index[place, KEY] = event_hash
    index[place, SLOT] = slot
    index[place, SEEN] = time
    waited = before in (WAITING_FRAUD, WAITING_LEGITIMATE)
    fraud = 1.0 if before == WAITING_FRAUD else 0.0
    return fraud, (1 if before == EMPTY else 0), (1 if waited else 0)
