"""Compiled: what a batch changes, written down so that it can be taken back.

A journal is an array of words; its first says how many are in use. Each change is a record whose
last word is its kind, so that undoing reads backwards. What is written down is what a block holds,
not where: a block may move meanwhile. An array of one word records nothing.
"""

import numpy as np

from streams.features.kernels.blocks import CAPACITY, FLOOR, LENGTH, LOST, OFFSET, SEQUENCE, START
from streams.features.kernels.chunk_sums import CHUNK, sum_chunks
from streams.features.kernels.id_index import EMPTY, KEY, SEEN, SLOT, find_place, remove
from streams.features.kernels.numba_options import inlined, kernel

_INSERTED, _FORGOT, _LABELLED, _ENTRY, _LOST, _TILE = range(6)
_EVENT_WORDS = 25
"""What an event and its id take at most, also where it leaves at once, and a label too: without
forgotten events, and what depends on how many values there are."""
_ENTRY_WORDS = 4


@inlined
def records(journal):  # type: ignore[no-untyped-def]
    """Whether changes are written down."""
    return journal.size > 1


@inlined
def forgotten_words(count, values):  # type: ignore[no-untyped-def]
    """Words that so many forgotten events take."""
    return count * (2 + values.shape[0]) + 3


@inlined
def event_words(sums):  # type: ignore[no-untyped-def]
    """Words that an event or a label takes at most, without the events forgotten for it."""
    return _EVENT_WORDS + 2 * sums.shape[2]


@inlined
def ousted_words(length, values):  # type: ignore[no-untyped-def]
    """Words that an entity of so many events takes which has to leave."""
    return length * _ENTRY_WORDS + forgotten_words(length, values)


@inlined
def note_inserted(journal, slot, place, sequence):  # type: ignore[no-untyped-def]
    """An event was put at a place of its block, counted from the block's first event.

    Args:
        sequence: the block's before.
    """
    end = journal[0]
    journal[end], journal[end + 1] = slot, place
    journal[end + 2], journal[end + 3] = sequence, _INSERTED
    journal[0] = end + 4


@inlined
def note_labelled(journal, slot, place, before):  # type: ignore[no-untyped-def]
    """The label of the event at a place is about to change."""
    end = journal[0]
    journal[end], journal[end + 1] = slot, place
    journal[end + 2], journal[end + 3] = np.float64(before).view(np.int64), _LABELLED
    journal[0] = end + 4


@inlined
def note_entry(journal, index, place, key):  # type: ignore[no-untyped-def]
    """The entry of a key, which is or belongs at a place of the id index, is about to change."""
    end = journal[0]
    journal[end], journal[end + 1] = key, index[place, SLOT]
    journal[end + 2], journal[end + 3] = index[place, SEEN], _ENTRY
    journal[0] = end + 4


@inlined
def note_lost(journal, blocks, slot):  # type: ignore[no-untyped-def]
    """What a block says of forgotten events is about to change."""
    end = journal[0]
    journal[end], journal[end + 1] = slot, blocks[slot, LOST]
    journal[end + 2], journal[end + 3] = blocks[slot, FLOOR], _LOST
    journal[0] = end + 4


@kernel
def note_tile(journal, ends, sums, row, place):  # type: ignore[no-untyped-def]
    """A tile is about to change."""
    end = journal[0]
    journal[end] = ends[row, place]
    for number in range(sums.shape[2]):
        journal[end + 1 + number] = np.float64(sums[row, place, number]).view(np.int64)
    end += 1 + sums.shape[2]
    journal[end], journal[end + 1], journal[end + 2] = row, place, _TILE
    journal[0] = end + 3


@kernel
def note_forgotten(journal, times, values, hashes, blocks, slot, count):  # type: ignore[no-untyped-def]
    """The oldest events of a block are about to be forgotten."""
    end = journal[0]
    first = blocks[slot, OFFSET] + blocks[slot, START]
    for position in range(first, first + count):
        journal[end] = times[position]
        journal[end + 1] = hashes[position] if hashes.size else 0
        end += 2
        for column in range(values.shape[0]):
            journal[end] = np.float64(values[column, position]).view(np.int64)
            end += 1
    journal[end], journal[end + 1], journal[end + 2] = slot, count, _FORGOT
    journal[0] = end + 3


@kernel
def _remove_event(times, values, hashes, chunks, blocks, slot, place):  # type: ignore[no-untyped-def]
    """Take the event at a place out of its block."""
    first = blocks[slot, OFFSET] + blocks[slot, START]
    end = first + blocks[slot, LENGTH]
    for position in range(first + place, end - 1):
        times[position] = times[position + 1]
        for column in range(values.shape[0]):
            values[column, position] = values[column, position + 1]
        if hashes.size:
            hashes[position] = hashes[position + 1]
    blocks[slot, LENGTH] -= 1
    if blocks[slot, CAPACITY] >= CHUNK:
        sum_chunks(values, chunks, first + place, end - 1)


@kernel
def _room_in_front(times, values, hashes, chunks, blocks, slot):  # type: ignore[no-untyped-def]
    """Move a block's events to its end."""
    offset, capacity = blocks[slot, OFFSET], blocks[slot, CAPACITY]
    source = offset + blocks[slot, START]
    length = blocks[slot, LENGTH]
    target = offset + capacity - length
    for i in range(length - 1, -1, -1):
        times[target + i] = times[source + i]
        for column in range(values.shape[0]):
            values[column, target + i] = values[column, source + i]
        if hashes.size:
            hashes[target + i] = hashes[source + i]
    blocks[slot, START] = capacity - length
    if capacity >= CHUNK:
        sum_chunks(values, chunks, target, offset + capacity)


@kernel
def _bring_back(journal, words, times, values, hashes, chunks, blocks, slot, count):  # type: ignore[no-untyped-def]
    """Put forgotten events in front of a block again, from the journal's `words` on.

    They fit, since they were in it before and blocks do not shrink while changes are recorded.
    """
    if blocks[slot, START] < count:
        _room_in_front(times, values, hashes, chunks, blocks, slot)
    blocks[slot, START] -= count
    blocks[slot, LENGTH] += count
    first = blocks[slot, OFFSET] + blocks[slot, START]
    for position in range(first, first + count):
        times[position] = journal[words]
        if hashes.size:
            hashes[position] = journal[words + 1]
        words += 2
        for column in range(values.shape[0]):
            values[column, position] = np.int64(journal[words]).view(np.float64)
            words += 1
    if blocks[slot, CAPACITY] >= CHUNK:
        end = min(first + count + CHUNK, first + blocks[slot, LENGTH])
        sum_chunks(values, chunks, first, end)


@kernel
def undo(journal, floor, arena, blocks, index, secret, tiles, label_column):  # type: ignore[no-untyped-def]
    """Take back all changes that were recorded from word `floor` on, the latest first."""
    times, values, hashes, chunks = arena
    ends, sums, _ = tiles
    end = journal[0]
    while end > floor:
        kind = journal[end - 1]
        if kind == _INSERTED:
            slot, place = journal[end - 4], journal[end - 3]
            blocks[slot, SEQUENCE] = journal[end - 2]
            end -= 4
            _remove_event(times, values, hashes, chunks, blocks, slot, place)
        elif kind == _FORGOT:
            slot, count = journal[end - 3], journal[end - 2]
            end -= forgotten_words(count, values)
            _bring_back(journal, end, times, values, hashes, chunks, blocks, slot, count)
        elif kind == _LABELLED:
            slot = journal[end - 4]
            first = blocks[slot, OFFSET] + blocks[slot, START]
            position = first + journal[end - 3]
            values[label_column, position] = np.int64(journal[end - 2]).view(np.float64)
            if blocks[slot, CAPACITY] >= CHUNK:
                sum_chunks(
                    values, chunks, position, min(position + CHUNK, first + blocks[slot, LENGTH])
                )
            end -= 4
        elif kind == _TILE:
            row, place = journal[end - 3], journal[end - 2]
            end -= sums.shape[2] + 4
            ends[row, place] = journal[end]
            for number in range(sums.shape[2]):
                sums[row, place, number] = np.int64(journal[end + 1 + number]).view(np.float64)
        elif kind == _LOST:
            slot = journal[end - 4]
            blocks[slot, LOST], blocks[slot, FLOOR] = journal[end - 3], journal[end - 2]
            end -= 4
        else:
            place = find_place(index, secret, journal[end - 4])
            if journal[end - 3] == EMPTY:
                remove(index, secret, place)
            else:
                index[place, KEY] = journal[end - 4]
                index[place, SLOT] = journal[end - 3]
                index[place, SEEN] = journal[end - 2]
            end -= 4
    journal[0] = end
