"""Compiled: rows through trees. Self-contained, so that numba sees from this file what is new.

The processor spends a walk down one tree waiting for memory. `walk` keeps eight walks going at a
time; `strike_out` does not walk at all: it decides every split of a small tree for 64 rows at once,
in vectors, and each decision strikes out the leaves that can't be reached any more (Lucchese et
al., "QuickScorer", SIGIR 2015; Ye et al., "RapidScorer", KDD 2018).

Both add a row's leaves in the order of the trees, so they give the same bits.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, uint32
from numba.core import types
from numba.extending import intrinsic

from streams.base.compiled_code import kept_njit

LANES = 8
BLOCK = 64
"""Rows at once: enough for vectors of any processor; fewer are unrolled instead."""

_called = njit(nogil=True, _nrt=False)
# Nothing is allocated within, so that reference counting can be left out.
_kernel = kept_njit(nogil=True, _nrt=False)

_HIGH, _LOW = 0, 1
_ALL = np.uint32(0xFFFFFFFF)


@intrinsic  # type: ignore[untyped-decorator]
def _trailing_zeros(_typing_context: Any, bits: Any) -> Any:
    """Return the number of the lowest bit that is set, of a uint32 that is not 0."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint32(types.uint32), generate


@_kernel
def compare_rows(rows, kinds, compared):  # type: ignore[no-untyped-def]
    """Fill compared rows (n, b * k) from rows (n, k); see `inference.forest.comparisons`."""
    width = rows.shape[1]
    for i in range(rows.shape[0]):
        for b in range(len(kinds)):
            kind = kinds[b]
            for j in range(width):
                x = rows[i, j]
                if kind > _LOW:
                    x = np.float32(1.0) if np.isnan(x) else np.float32(0.0)
                elif np.isnan(x):
                    x = np.float32(np.inf) if kind == _HIGH else np.float32(-np.inf)
                compared[i, b * width + j] = x


@_called
def _step(nodes, node, rows, row):  # type: ignore[no-untyped-def]
    """Return the child that a row goes to, or the leaf that it is in: siblings are neighbours."""
    return node + nodes[node].left + (rows[row, nodes[node].column] > nodes[node].threshold)


@_kernel
def walk(rows, first, nodes, values, roots, depths, base, margin):  # type: ignore[no-untyped-def]
    """Add up the leaves of compared rows from `first` on: eight rows at a time, then eight trees.

    Args:
        nodes: records of threshold, column and distance to the left child, (m,).
        values: float64 (m,), of leaves.
        roots, depths: int32 (t,).
        margin: float64 (n,), to be filled.
    """
    n, trees = rows.shape[0], len(roots)
    for i in range(first, n - LANES + 1, LANES):
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = base
        for t in range(trees):
            a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = roots[t]
            for _ in range(depths[t]):
                a0 = _step(nodes, a0, rows, i)
                a1 = _step(nodes, a1, rows, i + 1)
                a2 = _step(nodes, a2, rows, i + 2)
                a3 = _step(nodes, a3, rows, i + 3)
                a4 = _step(nodes, a4, rows, i + 4)
                a5 = _step(nodes, a5, rows, i + 5)
                a6 = _step(nodes, a6, rows, i + 6)
                a7 = _step(nodes, a7, rows, i + 7)
            s0 += values[a0]
            s1 += values[a1]
            s2 += values[a2]
            s3 += values[a3]
            s4 += values[a4]
            s5 += values[a5]
            s6 += values[a6]
            s7 += values[a7]
        margin[i], margin[i + 1], margin[i + 2], margin[i + 3] = s0, s1, s2, s3
        margin[i + 4], margin[i + 5], margin[i + 6], margin[i + 7] = s4, s5, s6, s7
    for i in range(n - (n - first) % LANES, n):
        margin[i] = _walk_one(rows, i, nodes, values, roots, depths, base)


@_called
def _walk_one(rows, i, nodes, values, roots, depths, base):  # type: ignore[no-untyped-def]
    """Return the margin of one row; trees that have ended wait for the deepest of eight."""
    total, whole = base, len(roots) // LANES * LANES
    for t in range(0, whole, LANES):
        a0, a1, a2, a3 = roots[t], roots[t + 1], roots[t + 2], roots[t + 3]
        a4, a5, a6, a7 = roots[t + 4], roots[t + 5], roots[t + 6], roots[t + 7]
        depth = depths[t]
        for k in range(1, LANES):
            depth = max(depth, depths[t + k])
        for _ in range(depth):
            a0 = _step(nodes, a0, rows, i)
            a1 = _step(nodes, a1, rows, i)
            a2 = _step(nodes, a2, rows, i)
            a3 = _step(nodes, a3, rows, i)
            a4 = _step(nodes, a4, rows, i)
            a5 = _step(nodes, a5, rows, i)
            a6 = _step(nodes, a6, rows, i)
            a7 = _step(nodes, a7, rows, i)
        total += values[a0]
        total += values[a1]
        total += values[a2]
        total += values[a3]
        total += values[a4]
        total += values[a5]
        total += values[a6]
        total += values[a7]
    for t in range(whole, len(roots)):
        node = roots[t]
        for _ in range(depths[t]):
            node = _step(nodes, node, rows, i)
        total += values[node]
    return total


@_kernel
def strike_out(rows, splits, first_split, leaves, first_leaf, base, columns, left, margin):  # type: ignore[no-untyped-def]
    """Add up the leaves of compared rows, in blocks, of trees with up to 32 leaves.

    Args:
        splits: records of threshold, column and the leaves that remain on the right, by tree.
        first_split: int32 (t + 1,), where those of each tree begin.
        leaves: float64, values by tree, from left to right.
        first_leaf: int32 (t,).
        columns, left: space for a block: float32 (columns, BLOCK), uint32 (BLOCK,).
        margin: float64 (n,), to be filled.
    """
    n = rows.shape[0]
    for i in range(0, n, BLOCK):
        rest = min(BLOCK, n - i)
        for j in range(rows.shape[1]):
            for r in range(rest):
                columns[j, r] = rows[i + r, j]
        for r in range(rest):
            margin[i + r] = base
        for t in range(len(first_leaf)):
            for r in range(BLOCK):
                left[r] = _ALL
            for s in range(first_split[t], first_split[t + 1]):
                threshold, remain = splits[s].threshold, splits[s].remain
                column = splits[s].column
                for r in range(BLOCK):
                    left[r] &= remain if columns[column, r] > threshold else _ALL
            for r in range(rest):
                margin[i + r] += leaves[first_leaf[t] + _trailing_zeros(uint32(left[r]))]
