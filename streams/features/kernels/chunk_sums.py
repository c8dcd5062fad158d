"""Compiled: sums over many events, from sums of whole chunks of the arena.

A chunk is `CHUNK` places of the arena. Values are added as integers, in units of 2 ** -54: then
no order and no grouping changes a sum, and a long window needs only the events at its two ends one
by one. A value is exact from 1/4 upwards, and 2e-12 of itself wrong at most.
"""

import numpy as np

from streams.features.kernels.numba_options import inlined, kernel

_SHIFT = 8
CHUNK = 1 << _SHIFT
_COUNT, _WHOLE, _PART = 0, 1, 2
CHUNK_SUMS = 3
"""Of each chunk and column: how many values, and their sum's whole and fractional units."""

_PART_BITS = 54
_PART_MASK = (1 << _PART_BITS) - 1
_UNIT = 2.0**-_PART_BITS
_LEAST, _GREATEST = 2.0**-16, 2.0**40
"""Magnitudes that can be added so; 2 ** 22 of the greatest still fit into int64."""


@inlined
def _fits(value):  # type: ignore[no-untyped-def]
    return value == 0.0 or _LEAST <= abs(value) < _GREATEST


@kernel
def sum_chunks(values, chunks, start, end):  # type: ignore[no-untyped-def]
    """Sum the chunks from the one with place `start` on that are full up to place `end`."""
    for column in range(values.shape[0]):
        for chunk in range(start >> _SHIFT, end >> _SHIFT):
            count = 0
            whole = part = np.int64(0)
            for position in range(chunk << _SHIFT, (chunk + 1) << _SHIFT):
                value = values[column, position]
                if np.isnan(value):
                    continue
                if not _fits(value):
                    count = -1
                    break
                floor = np.floor(value)
                count += 1
                whole += np.int64(floor)
                part += np.int64(np.rint((value - floor) / _UNIT))
            chunks[_COUNT, column, chunk] = count
            chunks[_WHOLE, column, chunk] = whole + (part >> _PART_BITS)
            chunks[_PART, column, chunk] = part & _PART_MASK


@kernel
def sum_between(values, chunks, column, low, high):  # type: ignore[no-untyped-def]
    """``(how many, sum)`` of the values at ``low .. high``; -1 where they cannot be added so."""
    count = 0
    whole = part = np.int64(0)
    position = low
    while position < high:
        if position & (CHUNK - 1) == 0 and position + CHUNK <= high:
            chunk = position >> _SHIFT
            if chunks[_COUNT, column, chunk] < 0:
                return -1, 0.0
            count += chunks[_COUNT, column, chunk]
            whole += chunks[_WHOLE, column, chunk]
            part += chunks[_PART, column, chunk]
            position += CHUNK
        else:
            value = values[column, position]
            position += 1
            if np.isnan(value):
                continue
            if not _fits(value):
                return -1, 0.0
            floor = np.floor(value)
            count += 1
            whole += np.int64(floor)
            part += np.int64(np.rint((value - floor) / _UNIT))
        whole += part >> _PART_BITS
        part &= _PART_MASK
    return count, whole + part * _UNIT
