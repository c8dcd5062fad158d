"""The arrays that hold an entity's windows: the arena of events, and the tiles of hot ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.features.kernels.chunk_sums import CHUNK, CHUNK_SUMS
from streams.features.kernels.id_index import NEVER
from streams.features.kernels.tiles import OF_COLUMN, TILES, tile_ms
from streams.features.plan import EntityPlan

Tiles = tuple[NDArray[np.int64], NDArray[np.float64], int]
"""Latest time and sums of each tile, and how long a tile is in ms; see `tiles.py`."""

Arena = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]
"""Times, values (columns, places), id hashes and sums of chunks."""


def new_arena(plan: EntityPlan, places: int) -> Arena:
    """Return an arena with room for so many events."""
    columns = max(1, len(plan.columns))
    chunks = -(-places // CHUNK)
    return (
        np.empty(places, np.int64),
        np.empty((columns, places)),
        np.empty(places if plan.label_column >= 0 else 0, np.int64),
        np.empty((CHUNK_SUMS, columns, chunks), np.int64),
    )


def larger_arena(plan: EntityPlan, arena: Arena, places: int) -> Arena:
    """Return an arena with room for so many events, and what another one holds."""
    larger = new_arena(plan, places)
    for target, source in zip(larger, arena, strict=True):
        target[..., : source.shape[-1]] = source
    return larger


def new_tiles(plan: EntityPlan, keep_ms: int, rows: int) -> Tiles:
    """Return empty tiles for so many entities, whose events are kept for so long."""
    width = 1 + OF_COLUMN * max(1, len(plan.columns))
    ends = np.full((rows, TILES), NEVER, np.int64)
    return ends, np.zeros((rows, TILES, width)), tile_ms(keep_ms)


def larger_tiles(plan: EntityPlan, keep_ms: int, tiles: Tiles) -> Tiles:
    """Return tiles for twice as many entities, and what other ones hold."""
    rows = len(tiles[0])
    larger = new_tiles(plan, keep_ms, 2 * rows)
    larger[0][:rows], larger[1][:rows] = tiles[:2]
    return larger


def kernel_plan(plan: EntityPlan) -> tuple[Any, ...]:
    """Return what the kernels are told of an entity's windows and features."""
    return (
        (
            plan.group_kind,
            plan.group_column,
            plan.group_delay,
            plan.group_excludes_event,
            plan.group_windows,
        ),
        plan.window_ms,
        (
            plan.output_window,
            plan.output_stat,
            plan.output_feature,
            plan.output_empty,
            plan.output_column,
        ),
        plan.label_column,
    )
