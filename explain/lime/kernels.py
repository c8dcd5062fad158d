"""Compiled: trees over mixed rows, and the fit. Self-contained, so that numba sees what is new.

A mixed row takes each value from one of two: the event's, where it is kept, or the drawn one's.
What a split does with the drawn rows never changes, and what it does with the event is one bit. So
64 samples pass a split in one operation on words of bits, whatever the features are. Leaves are
added in the order of the trees, as `inference.forest.kernels` does, so the margins have its bits.
"""

from math import isnan, sqrt

from numba import uint64

from streams.base.compiled_code import kept_njit

WORD = 64

_kernel = kept_njit(nogil=True)


@_kernel
def mixed_margins(  # type: ignore[no-untyped-def]
    row, forest, missing_left, drawn_right, kept, base, reach, margins
):
    """Fill the margins (m,) of the samples of one event.

    Args:
        row: float32 (k + d,), the event's features with the derived columns.
        forest: column, threshold, left, right, value and roots, as
            `inference.forest.forest.Forest`.
        missing_left: bool (nodes,).
        drawn_right: uint64 (nodes, m / 64), bits of the samples that do not keep a split's column
            and whose drawn row goes right there.
        kept: uint64 (k + d, m / 64), bits of the samples that keep a column.
        base: margin before the first tree.
        reach: uint64 (nodes of the largest tree, m / 64), to work in.
    """
    column, threshold, left, right, value, roots = forest
    words = drawn_right.shape[1]
    margins[:] = base
    for t in range(len(roots)):
        root = roots[t]
        end = roots[t + 1] if t + 1 < len(roots) else len(column)
        for w in range(words):
            reach[0, w] = ~uint64(0)
        for node in range(root, end):
            here = node - root
            c = column[node]
            if c < 0:
                leaf = value[node]
                for w in range(words):
                    bits = reach[here, w]
                    if bits != uint64(0):
                        for i in range(WORD):
                            margins[w * WORD + i] += (
                                leaf if (bits >> uint64(i)) & uint64(1) else 0.0
                            )
                continue
            below, above = left[node] - root, right[node] - root
            x = row[c]
            if x > threshold[node] or (isnan(x) and not missing_left[node]):
                for w in range(words):
                    bits = reach[here, w]
                    goes_right = drawn_right[node, w] | kept[c, w]
                    reach[above, w] = bits & goes_right
                    reach[below, w] = bits & ~goes_right
            else:
                for w in range(words):
                    bits = reach[here, w]
                    goes_right = drawn_right[node, w]
                    reach[above, w] = bits & goes_right
                    reach[below, w] = bits & ~goes_right


@_kernel
def fit(answers, operator, regressors, weights, idle, runs, coefficients, residual):  # type: ignore[no-untyped-def]
    """Fill the coefficients of the fit to answers (m,); return its R² and their standard error.

    Sums run in a fixed order, so an event has the same bits in any company.

    Args:
        operator: (m, 1 + g).
        regressors: (1 + g, m).
        weights: (m,), summing to 1.
        idle: (m, l), contrasts that would be 0 if effects simply added up.
        runs: samples with one background row, within which a contrast is taken.
        coefficients: (1 + g,), residual: (m,), to be filled.
    """
    m, p = operator.shape
    coefficients[:] = 0.0
    for i in range(m):
        for j in range(p):
            coefficients[j] += operator[i, j] * answers[i]
    residual[:] = answers
    mean = 0.0
    for i in range(m):
        mean += weights[i] * answers[i]
    for j in range(p):
        for i in range(m):
            residual[i] -= coefficients[j] * regressors[j, i]
    total, left = 0.0, 0.0
    for i in range(m):
        total += weights[i] * (answers[i] - mean) ** 2
        left += weights[i] * residual[i] ** 2
    noise, columns = 0.0, idle.shape[1]
    for first in range(0, m, runs):
        for column in range(columns):
            contrast = 0.0
            for i in range(first, first + runs):
                contrast += idle[i, column] * answers[i]
            noise += contrast * contrast
    r2 = 1.0 - left / total if total > 0.0 else 1.0
    return r2, sqrt(noise / columns)


@_kernel
def stability(effects, error, draws, top, chosen):  # type: ignore[no-untyped-def]
    """Return VSI and CSI over draws of the effects (g,) from normal distributions.

    Args:
        error: standard error of each effect.
        draws: standard normal (s, g), s at least 2.
        top: how many of the largest are named.
        chosen: bool (s, g), to work in.
    """
    s, g = draws.shape
    chosen[:] = False
    same = 0.0
    for d in range(s):
        for _ in range(top):
            best, most = -1, -1.0
            for j in range(g):
                size = abs(effects[j] + error * draws[d, j])
                if size > most and not chosen[d, j]:
                    best, most = j, size
            chosen[d, best] = True
            same += (effects[best] + error * draws[d, best]) * effects[best] >= 0.0
    agreement = 0.0
    for a in range(s):
        for b in range(a):
            both = 0
            for j in range(g):
                both += chosen[a, j] and chosen[b, j]
            agreement += both / (2 * top - both)
    return agreement / (s * (s - 1) / 2), same / (s * top)
