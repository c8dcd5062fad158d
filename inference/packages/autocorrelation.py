"""By how much counts of dependent events vary more than those of independent ones.

Events of one card follow each other, and hours differ: a window of them knows less of a
distribution than as many independent events do.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_FEWEST_BLOCKS = 30
_CLEAR = 3.0
"""Standard errors by which blocks must vary too much to count."""
_SMALLEST = 4
_CHUNK = 1 << 20


def inflation(scores: NDArray[np.float64]) -> float:
    """v = max over b of b Var(means of b rows in a row) / Var(rows), 1 at least.

    The variance of a mean of b rows is v Var/b: the method of batch means (Law and Kelton,
    "Simulation Modeling and Analysis"). Its relative error is sqrt(2/blocks), so what could be
    chance is left out, and one error is added to what is not: rather too large than too small.

    Args:
        scores: bounded ones, such as ranks, in the order of time, (n,).
    """
    whole = scores.var()
    found, size = 1.0, _SMALLEST
    while whole > 0 and len(scores) // size >= _FEWEST_BLOCKS:
        blocks = len(scores) // size
        means = scores[: blocks * size].reshape(blocks, size).mean(axis=1)
        error = np.sqrt(2 / blocks)
        ratio = float(size * means.var(ddof=1) / whole)
        if ratio > 1 + _CLEAR * error:
            found = max(found, ratio * (1 + error))
        size *= 2
    return found


def cluster_sizes(
    bins: NDArray[np.int64], share: NDArray[np.float64], hours: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The same as `inflation` for each bin's count: of events that come in clusters, their size.

    What is rare may come in bursts that nobody sees in the mean of all: a stolen card that is tried
    ten times a minute. A rare bin's counts are nearly Poisson: their variance has a relative error
    of sqrt((2 + 1/m) / blocks) where blocks have m of its events. Of bins without events nothing is
    known, and the largest of the others is taken.

    Args:
        bins: of the events in the order of time, (n,).
        share: of each bin, by hour, (hours, bins).
        hours: of the events, (n,).

    Returns:
        (bins,), 1 at least.
    """
    found = np.ones(share.shape[1])
    whole = np.bincount(bins, minlength=len(found)) / max(len(bins), 1)
    sums = np.concatenate(list(_excesses(bins, share, hours)))
    size = _SMALLEST
    while len(sums) >= _FEWEST_BLOCKS:
        expected = np.where(whole > 0, size * whole, np.inf)
        error = np.sqrt((2 + 1 / expected) / len(sums))
        independent = np.maximum(expected * (1 - whole), 1e-12)
        ratio = (sums**2).mean(axis=0) / independent
        clear = ratio > 1 + _CLEAR * error
        found = np.where(clear, np.maximum(found, ratio * (1 + error)), found)
        even = len(sums) // 2 * 2
        sums, size = sums[0:even:2] + sums[1:even:2], 2 * size
    return np.where(whole > 0, found, found.max())


def _excesses(
    bins: NDArray[np.int64], share: NDArray[np.float64], hours: NDArray[np.int64]
) -> Iterator[NDArray[np.float64]]:
    """Events of each bin beyond those to be expected, in the smallest blocks, (blocks, bins)."""
    width = share.shape[1]
    yield np.empty((0, width))
    for first in range(0, len(bins) // _SMALLEST * _SMALLEST, _CHUNK):
        part = slice(first, min(first + _CHUNK, len(bins) // _SMALLEST * _SMALLEST))
        excess = -share[hours[part]]
        excess[np.arange(len(excess)), bins[part]] += 1
        yield excess.reshape(-1, _SMALLEST, width).sum(axis=1)
