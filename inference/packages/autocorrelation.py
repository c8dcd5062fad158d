"""By how much counts of dependent events vary more than those of independent ones.

Events of one card follow each other, and hours differ: a window of them knows less of a
distribution than as many independent events do.
"""

import numpy as np
from numpy.typing import NDArray

_FEWEST_BLOCKS = 30
_CLEAR = 3.0
"""Standard errors by which a block's means must vary too much to count."""


def inflation(scores: NDArray[np.float64]) -> float:
    """v = max over b of b Var(means of b rows in a row) / Var(rows), 1 at least.

    The variance of a mean of b rows is v Var/b: the method of batch means (Law and Kelton,
    "Simulation Modeling and Analysis"). Its relative error is sqrt(2/blocks), so what could be
    chance is left out, and one error is added to what is not: rather too large than too small.

    Args:
        scores: bounded ones, such as ranks, in the order of time, (n,).
    """
    whole = scores.var()
    found, size = 1.0, 4
    while whole > 0 and len(scores) // size >= _FEWEST_BLOCKS:
        blocks = len(scores) // size
        means = scores[: blocks * size].reshape(blocks, size).mean(axis=1)
        error = np.sqrt(2 / blocks)
        ratio = float(size * means.var(ddof=1) / whole)
        if ratio > 1 + _CLEAR * error:
            found = max(found, ratio * (1 + error))
        size *= 2
    return found
