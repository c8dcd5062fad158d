"""Compiled: what a hot entity's oldest events become, once it has more than its share.

A tile holds number, sum and spread of the events of one stretch of time. An entity has a ring of
`TILES` of them, which together reach as far back as events are kept; an empty tile's time is
`NEVER`. A window takes in the tiles whose middle it holds, so that it is wrong by half a tile at
each end at most.
"""

import numpy as np

from streams.features.kernels.enums import Group, Stat
from streams.features.kernels.id_index import NEVER
from streams.features.kernels.numba_options import kernel

TILES = 256
NUMBER, SUM, SQUARES, LEAST, MOST = range(5)
OF_COLUMN = 5
"""How many values there are, their sum, the sum of squares about their mean, and the extremes."""

_PRIOR, _DISTINCT, _EVENTS_ONLY, _MOMENTS = (
    int(Group.PRIOR),
    int(Group.DISTINCT),
    int(Group.EVENTS),
    int(Group.MOMENTS),
)
_EVENTS, _VALUES, _SUM, _MEAN, _MIN, _MAX, _STD = (int(stat) for stat in list(Stat)[:7])


def tile_ms(keep_ms: int) -> int:
    """Return how long a tile is, so that a ring of them holds all that is kept."""
    return keep_ms // (TILES - 2) + 1


@kernel
def place_of(ends, row, length_ms, floor, time):  # type: ignore[no-untyped-def]
    """``(place of a time's tile in the ring, whether it is there, whether it may be)``.

    What was up to `floor` is forgotten, and counts as not there.
    """
    tile = time // length_ms
    place = tile % TILES
    end = ends[row, place]
    if end == NEVER or end <= floor or end // length_ms < tile:
        return place, False, True
    return place, end // length_ms == tile, end // length_ms == tile


@kernel
def put_into_tile(ends, sums, row, place, is_there, times, values, position):  # type: ignore[no-untyped-def]
    """Add an event of the arena to a tile, which begins anew where it is not there."""
    tile = sums[row, place]
    if not is_there:
        tile[:] = 0.0
        for column in range(values.shape[0]):
            tile[1 + OF_COLUMN * column + LEAST] = np.inf
            tile[1 + OF_COLUMN * column + MOST] = -np.inf
        ends[row, place] = times[position]
    ends[row, place] = max(ends[row, place], times[position])
    tile[0] += 1.0
    for column in range(values.shape[0]):
        value = values[column, position]
        if np.isnan(value):
            continue
        at = 1 + OF_COLUMN * column
        if tile[at + NUMBER] > 0:
            away = value - tile[at + SUM] / tile[at + NUMBER]
            tile[at + SQUARES] += away * away * tile[at + NUMBER] / (tile[at + NUMBER] + 1)
        tile[at + NUMBER] += 1.0
        tile[at + SUM] += value
        tile[at + LEAST] = min(tile[at + LEAST], value)
        tile[at + MOST] = max(tile[at + MOST], value)


@kernel
def add_tiles(ends, sums, row, length_ms, floor, lost, time, groups, window_ms, found):  # type: ignore[no-untyped-def]
    """Add to the statistics in `found` what of their windows is in tiles, up to the time `lost`."""
    kinds, columns, delays, _, ranges = groups
    for g in range(kinds.size):
        if kinds[g] == _PRIOR or kinds[g] == _DISTINCT:
            continue
        until = time - delays[g]
        last = min(until, lost) // length_ms
        for w in range(ranges[g, 0], ranges[g, 1]):
            after = until - window_ms[w]
            if after >= lost:
                continue
            for tile in range(max(after // length_ms, last - TILES + 1), last + 1):
                end = ends[row, tile % TILES]
                if end == NEVER or end <= floor or end // length_ms != tile:
                    continue
                middle = tile * length_ms + (length_ms - 1) // 2
                if after < middle <= until:
                    _merge(sums[row, tile % TILES], kinds[g], columns[g], found[w])


@kernel
def _merge(tile, kind, column, found):  # type: ignore[no-untyped-def]
    """Add a tile to the statistics of one window (the variance as Chan, Golub and LeVeque do)."""
    if kind == _EVENTS_ONLY:
        found[_EVENTS] += tile[0]
        return
    at = 1 + OF_COLUMN * column
    n, total = tile[at + NUMBER], tile[at + SUM]
    before = found[_VALUES]
    if kind == _MOMENTS:
        if n == 0:
            return
        squares = tile[at + SQUARES]
        mean = total / n
        if before > 0:
            if before > 1:
                squares += found[_STD] * found[_STD] * (before - 1)
            away = mean - found[_MEAN]
            squares += away * away * before * n / (before + n)
            mean = found[_MEAN] + away * n / (before + n)
        found[_VALUES], found[_MEAN] = before + n, mean
        found[_MIN] = np.fmin(found[_MIN], tile[at + LEAST])
        found[_MAX] = np.fmax(found[_MAX], tile[at + MOST])
        found[_STD] = np.sqrt(squares / (before + n - 1)) if before + n > 1 else np.nan
        return
    found[_EVENTS] += tile[0]
    if n > 0:
        found[_VALUES] = before + n
        found[_SUM] = total + (found[_SUM] if before > 0 else 0.0)
        found[_MEAN] = found[_SUM] / (before + n)
