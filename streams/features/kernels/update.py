"""The compiled entry point: events and labels, one after another, into one entity's windows."""

from streams.features.kernels.aggregate import aggregate, write
from streams.features.kernels.apply_labels import apply_label, register
from streams.features.kernels.blocks import (
    CAPACITY,
    FLOOR,
    LENGTH,
    LOST,
    OFFSET,
    SEQUENCE,
    START,
    TILE_ROW,
    count_old,
    forget,
    insert,
    make_room,
)
from streams.features.kernels.chunk_sums import CHUNK, sum_chunks
from streams.features.kernels.coldest import (
    ENTITIES,
    LABELS,
    NO_HEAP,
    OUSTED,
    coldest_entity,
    drop_front,
    put,
)
from streams.features.kernels.enums import Counter
from streams.features.kernels.eviction import oust
from streams.features.kernels.id_index import NEVER, prefetch_entry
from streams.features.kernels.journal import (
    event_words,
    forgotten_words,
    note_forgotten,
    note_inserted,
    note_lost,
    note_tile,
    ousted_words,
    records,
)
from streams.features.kernels.numba_options import inlined, kernel
from streams.features.kernels.prefetch import prefetch
from streams.features.kernels.tiles import add_tiles, place_of, put_into_tile

_WORD, _LINE = 8, 64  # bytes of a number and of the processor's unit of loading
# How many events ahead to load an entity's block header, then the block itself; and how much of
# it. Measured on the Handbook's stream: twice or half of these make no difference.
_HEADERS_AHEAD, _BLOCKS_AHEAD, _NEWEST_LINES = 12, 6, 8

NO_TILES, NO_ORDER, NO_LABEL_ORDER = -1, -2, -3

# Enum members as plain ints: numba compiles these, not attribute look-ups.
_DROPPED, _NEWEST = int(Counter.DROPPED), int(Counter.NEWEST)
_FIRST, _NUMBER, _LIVE = int(Counter.FIRST), int(Counter.EVENTS), int(Counter.LIVE)
_OUSTED_TO, _WAITING = int(Counter.OUSTED_TO), int(Counter.WAITING)


@inlined
def _prefetch_block(times, values, hashes, blocks, slot):  # type: ignore[no-untyped-def]
    """Load the newest events of a block, which most windows look at."""
    if slot < 0:
        return
    length = blocks[slot, LENGTH]
    end = (blocks[slot, OFFSET] + blocks[slot, START] + length) * _WORD
    for line in range(min(_NEWEST_LINES, length * _WORD // _LINE + 1)):
        prefetch(times, end - line * _LINE)
        for column in range(values.shape[0]):
            prefetch(values, column * values.shape[1] * _WORD + end - line * _LINE)
    if hashes.size:
        prefetch(hashes, end)


@kernel
def _compress(times, values, tiles, journal, row, floor, position):  # type: ignore[no-untyped-def]
    """Put an event that is about to be forgotten into its tile, if that is still of use."""
    ends, sums, length_ms = tiles
    place, is_there, may_be = place_of(ends, row, length_ms, floor, times[position])
    if not may_be:
        return
    if records(journal):
        note_tile(journal, ends, sums, row, place)
    put_into_tile(ends, sums, row, place, is_there, times, values, position)


@kernel
def update_entity(  # type: ignore[no-untyped-def]
    first_event,
    first_label,
    events,
    labels,
    arena,
    blocks,
    free,
    counters,
    index,
    secret,
    tiles,
    plan,
    limits,
    cold,
    journal,
    scratch,
    out,
):
    """Take events, and the labels that come before each of them, into one entity's windows.

    Args:
        first_event, first_label: where to go on after the arena or journal was enlarged.
        events: ``(slots int64 (n,), times int64 (n,), rows float64 (columns, n), hashes int64
            (n,))``; slot -1 is an event without this entity: its windows are empty.
        labels: ``(hashes int64 (m,), values float64 (m,), before int64 (m,))``; label k becomes
            known just before event ``before[k]``, ascending.
        arena: ``(times, values, hashes, chunks)``.
        blocks, free, counters, index: with the arena, the entity's state, changed in place.
        secret: what places in the index depend on, int64 (4,).
        tiles: of entities that had more than their share, ``(ends, sums, length_ms)``: latest time
            in each int64 (rows, TILES), sums float64 (rows, TILES, 1 + OF_COLUMN * columns).
        plan: ``(groups, window_ms, outputs, label_column)``.
        limits: ``(keep_ms, retention_ms, max_events, max_entities, max_waiting)``: how long events
            are kept, how far the windows reach, and how much there may be.
        cold: ``(entities, labels, sizes, ousted)``: see `coldest.py`; the slots of entities that
            have to leave are written to the last, int64 (n,).
        journal: where changes are written down.
        scratch: ``(found, members)``, work space.
        out: ``(matrix, late, approximate)``: float64 (n, features), written in the columns of
            this plan's outputs, and bool (n,), set where it is so.

    Returns:
        ``(event, label, entries, matched, words)``: positions reached, n and m when all is done;
        how many entries the id index gained; how many labels found their event; and, when it
        ended early, how many words the journal must have room for, 0 where it is the arena that
        is full, `NO_TILES` where the entity of the event that is next needs a tile row, or
        `NO_ORDER`, `NO_LABEL_ORDER` where a heap of `cold` has to be made.
    """
    slots, event_times, rows, event_hashes = events
    label_hashes, label_values, label_before = labels
    times, values, hashes, chunks = arena
    groups, window_ms, outputs, label_column = plan
    keep_ms, retention_ms, max_events, max_entities, max_waiting = limits
    cold_entities, cold_labels, sizes, ousted = cold
    matrix, late, approximate = out
    ends, sums, tile_ms = tiles
    found, members = scratch
    entries = matched = 0
    label = first_label
    for i in range(first_event, slots.size + 1):
        while label < label_hashes.size and label_before[label] <= i:
            if records(journal) and journal[0] + event_words(sums) > journal.size:
                return i, label, entries, matched, event_words(sums)
            if counters[_WAITING] >= max_waiting and (
                sizes[LABELS] == NO_HEAP or sizes[LABELS] == cold_labels.shape[0]
            ):
                return i, label, entries, matched, NO_LABEL_ORDER
            if label + _HEADERS_AHEAD < label_hashes.size:
                prefetch_entry(index, secret, label_hashes[label + _HEADERS_AHEAD])
            gained, found_it = apply_label(
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
                label_hashes[label],
                label_values[label],
            )
            entries += gained
            matched += found_it
            label += 1
        if i == slots.size:
            break
        if i + _HEADERS_AHEAD < slots.size:
            prefetch(blocks, slots[i + _HEADERS_AHEAD] * blocks.shape[1] * _WORD)
            if label_column >= 0:
                prefetch_entry(index, secret, event_hashes[i + _HEADERS_AHEAD])
        if i + _BLOCKS_AHEAD < slots.size:
            _prefetch_block(times, values, hashes, blocks, slots[i + _BLOCKS_AHEAD])
        slot = slots[i]
        time = event_times[i]
        if counters[_NEWEST] == NEVER:
            counters[_FIRST] = counters[_NEWEST] = time
        seen = counters[_NEWEST]
        if slot < 0:
            counters[_NEWEST] = max(seen, time)
            for o in range(outputs[2].size):
                matrix[i, outputs[2][o]] = outputs[3][o]
            continue
        length = blocks[slot, LENGTH]
        leaves = False
        if not length and counters[_LIVE] >= max_entities:
            if sizes[ENTITIES] == NO_HEAP:
                return i, label, entries, matched, NO_ORDER
            coldest = coldest_entity(cold_entities, sizes, times, blocks)
            leaves = cold_entities[0, 0] > time
            if not leaves:
                words = ousted_words(blocks[coldest, LENGTH], values)
                if records(journal) and journal[0] + words > journal.size:
                    return i, label, entries, matched, words
                entries -= oust(
                    journal, arena, blocks, index, secret, counters, coldest, seen - keep_ms
                )
                drop_front(cold_entities, sizes, ENTITIES)
                ousted[sizes[OUSTED]] = coldest
                sizes[OUSTED] += 1
        lost, floor = blocks[slot, LOST], blocks[slot, FLOOR]
        last = times[blocks[slot, OFFSET] + blocks[slot, START] + length - 1] if length else NEVER
        # An entity that was idle for so long counts as unknown, whether or not a sweep has come
        # by to evict it: an answer must not depend on that.
        oldest = last - keep_ms if length else NEVER
        if not length or last <= seen - keep_ms:
            oldest = seen - keep_ms
            floor = max(oldest, counters[_OUSTED_TO])
            lost = lost if lost > floor else NEVER
        forgotten = max(floor, oldest)
        old = count_old(times, blocks, slot, max(oldest, time - keep_ms))
        dropped = 0
        if length - old >= max_events:
            if blocks[slot, TILE_ROW] == 0:
                return i, label, entries, matched, NO_TILES
            dropped = 1
            lost = max(lost, times[blocks[slot, OFFSET] + blocks[slot, START] + old])
        if records(journal):
            words = event_words(sums) + forgotten_words(old + dropped, values)
            if journal[0] + words > journal.size:
                return i, label, entries, matched, words
            if old + dropped:
                note_forgotten(journal, times, values, hashes, blocks, slot, old + dropped)
            if lost != blocks[slot, LOST] or floor != blocks[slot, FLOOR]:
                note_lost(journal, blocks, slot)
        if dropped:
            _compress(
                times,
                values,
                tiles,
                journal,
                blocks[slot, TILE_ROW] - 1,
                floor,
                blocks[slot, OFFSET] + blocks[slot, START] + old,
            )
        forget(blocks, slot, old + dropped)
        blocks[slot, LOST], blocks[slot, FLOOR] = lost, floor
        counters[_DROPPED] += dropped
        if not make_room(times, values, hashes, chunks, blocks, free, counters, slot):
            return i, label, entries, matched, 0
        reach = time - retention_ms
        # A label finds its event only as long as the whole stream, not its entity, keeps it.
        late[i] |= reach < forgotten or (label_column >= 0 and reach < seen - keep_ms)
        approximate[i] |= reach < lost
        if counters[_NEWEST] < time:
            counters[_NEWEST] = time
        position = insert(times, values, hashes, blocks, slot, time, event_hashes[i])
        for column in range(rows.shape[0]):
            values[column, position] = rows[column, i]
        if label_column >= 0:
            values[label_column, position], gained, found_it = register(
                index, secret, journal, counters, event_hashes[i], slot, time
            )
            entries += gained
            matched += found_it
        first = blocks[slot, OFFSET] + blocks[slot, START]
        if records(journal):
            note_inserted(journal, slot, position - first, blocks[slot, SEQUENCE])
        blocks[slot, SEQUENCE] = counters[_NUMBER]
        counters[_NUMBER] += 1
        if not length:
            counters[_LIVE] += 1
            if not leaves:
                put(cold_entities, sizes, ENTITIES, time, blocks[slot, SEQUENCE], slot)
        if blocks[slot, CAPACITY] >= CHUNK:
            sum_chunks(values, chunks, position, first + blocks[slot, LENGTH])
        aggregate(
            times,
            values,
            chunks,
            first,
            first + blocks[slot, LENGTH],
            position,
            groups,
            window_ms,
            found,
            members,
            secret,
        )
        if reach < lost:
            row = blocks[slot, TILE_ROW] - 1
            add_tiles(ends, sums, row, tile_ms, floor, lost, time, groups, window_ms, found)
        write(found, outputs, values, position, matrix, i)
        if leaves:
            entries -= oust(journal, arena, blocks, index, secret, counters, slot, seen - keep_ms)
            ousted[sizes[OUSTED]] = slot
            sizes[OUSTED] += 1
    return slots.size, label, entries, matched, 0
