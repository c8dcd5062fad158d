"""One entity's windows as buffers, and back."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.features.dump_format import (
    CorruptStateError,
    DumpMismatchError,
    EntityHeader,
    Reader,
    describe,
)
from streams.features.entity_arrays import new_arena, new_tiles
from streams.features.entity_state import EntityState
from streams.features.kernels.blocks import (
    BLOCK,
    LENGTH,
    LOST,
    TILE_ROW,
    free_places,
    new_blocks,
    sum_blocks,
)
from streams.features.kernels.enums import Counter
from streams.features.kernels.id_index import EMPTY, NEVER, SLOT, collect, new_index, refill

_NUMBERS = 1 << 60
"""No event and no label is numbered so high: they would become slots."""


def dump_entity(state: EntityState) -> tuple[EntityHeader, list[NDArray[np.generic] | bytes]]:
    """Return what describes the buffers, and the buffers: views, but for names and id index."""
    names = state.slots.names
    # With the evictions that are not committed yet: a loaded state has no savepoints to go back to.
    free = [*state.slots.free, *state.evicted_slots]
    used = int(state.counters[Counter.USED])
    times, values, hashes, _ = state.arena
    entries = np.empty((state.indexed, state.index.shape[1]), np.int64)
    collect(state.index, entries)
    buffers: list[NDArray[np.generic] | bytes] = [
        msgspec.msgpack.encode(names),
        np.array(free, np.int64),
        state.blocks[: len(names)],
        state.free,
        times[:used],
        *(column[:used] for column in values),
        hashes[:used],
        *state.tiles[:2],
        entries,
    ]
    header = EntityHeader(
        entity=state.plan.entity,
        places=times.size,
        index_places=len(state.index),
        tile_rows=len(state.tiles[0]),
        indexed=state.indexed,
        counters=state.counters.tolist(),
        buffers=describe(buffers),
    )
    return header, buffers


def load_entity(state: EntityState, header: EntityHeader, reader: Reader) -> None:
    """Put what was dumped into an empty state.

    Raises:
        CorruptStateError: the buffers contradict the header or each other.
        DumpMismatchError: it holds more than the settings allow.
    """
    if len(header.counters) != state.counters.size:
        raise _corrupt(state, "the counters")
    state.counters[:] = header.counters
    state.indexed = header.indexed
    used, count = header.counters[Counter.USED], header.indexed
    rows = header.index_places
    if not (0 <= used <= header.places and 0 <= count < rows and rows & (rows - 1) == 0):
        raise _corrupt(state, "the sizes")
    try:
        names = msgspec.msgpack.decode(reader.bytes(), type=list[int | str | None])
        free = [slot for slot, name in enumerate(names) if name is None]
        state.slots.load(names, reader.array(np.int64, len(free)).tolist())
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise _corrupt(state, "the names") from error
    if sorted(state.slots.free) != free or state.slots.taken + len(free) != len(names):
        raise _corrupt(state, "the names")
    state.blocks = new_blocks(max(len(state.blocks), len(names)))
    state.blocks[: len(names)] = reader.array(np.int64, len(names), BLOCK)
    state.free[:] = reader.array(np.int64, state.free.size)
    state.arena = times, values, hashes, chunks = new_arena(state.plan, header.places)
    times[:used] = reader.array(np.int64, used)
    for column in values:
        column[:used] = reader.array(np.float64, used)
    hashes[:used] = reader.array(np.int64, used if state.has_labels else 0)
    tiles = new_tiles(state.plan, state.keep_ms, header.tile_rows)
    for part in tiles[:2]:
        part[:] = reader.array(part.dtype, *part.shape)
    state.tiles = tiles
    entries = np.array(reader.array(np.int64, count, state.index.shape[1]))
    _check_blocks(state, used)
    tile_rows = _tile_rows(state)
    state.free_tile_rows = sorted(set(range(header.tile_rows)) - set(tile_rows))
    marks = entries[:, SLOT]
    waiting = int((marks < EMPTY).sum())
    inside = ((marks < EMPTY) | (marks >= 0)).all() and marks.max(initial=-1) < len(names)
    if not inside or header.counters[Counter.WAITING] != waiting:
        raise _corrupt(state, "the id index")
    live = int((state.blocks[:, LENGTH] > 0).sum())
    numbers = header.counters[Counter.EVENTS], header.counters[Counter.LABELS]
    if header.counters[Counter.LIVE] != live or not 0 <= min(numbers) <= max(numbers) < _NUMBERS:
        raise _corrupt(state, "the counters")
    _refuse_too_many(state, "max_entities", live)
    _refuse_too_many(state, "max_waiting_labels", waiting)
    state.free_blocks_of(free)
    sum_blocks(times, values, chunks, state.blocks)
    state.index = new_index(rows)
    refill(entries, state.index, state.secret.words)


def _check_blocks(state: EntityState, used: int) -> None:
    """Refuse what would lead the kernels outside of the arena."""
    offset, capacity, start, length = (state.blocks[:, column] for column in range(4))
    inside = (state.blocks[:, :4].min() >= 0) & (offset + capacity <= used).all()
    whole = (start + length <= capacity).all()
    in_blocks = int(capacity.sum())
    if not (inside and whole) or in_blocks + free_places(state.arena[0], state.free, used) != used:
        raise _corrupt(state, "the blocks")


def _tile_rows(state: EntityState) -> list[int]:
    """Which tile rows are in use; each by one entity."""
    lost, numbers = state.blocks[:, LOST], state.blocks[:, TILE_ROW]
    rows: list[int] = (numbers[numbers > 0] - 1).tolist()
    inside = numbers.min() >= 0 and numbers.max() <= len(state.tiles[0])
    if not inside or len(set(rows)) != len(rows) or (lost[numbers == 0] != NEVER).any():
        raise _corrupt(state, "the tiles")
    return rows


def _refuse_too_many(state: EntityState, setting: str, count: int) -> None:
    """Refuse what the settings do not allow."""
    most = getattr(state.settings, setting)
    if count > most:
        raise DumpMismatchError(
            f"the state was dumped with {count} of {state.plan.entity!r}, and windows.{setting} "
            f"is {most}"
        )


def _corrupt(state: EntityState, what: str) -> CorruptStateError:
    return CorruptStateError(f"{what} of the dumped entity {state.plan.entity!r} make no sense")
