"""How many labels a verdict still needs, and when they will be there."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inference.shadow.statistics.several import log_mean_e

_BLOCKS = 8
"""Fewer blocks than this foretell nothing."""
_DRAWS = 1_000
_NO_TIME = 1e15
"""In ms: what is 30,000 years off is not in sight."""


@dataclass(frozen=True)
class Forecast:
    """Matured labels still needed, with a bootstrap's 10 % and 90 % ends; None: not in sight."""

    labels: int | None
    low: int | None
    high: int | None


def labels_still_needed(
    counts: ArrayLike, increments: ArrayLike, alpha: float, generator: np.random.Generator
) -> Forecast:
    """Foretell from how the evidence grew: (ln(1/alpha) - ln E) / g, none in sight if g <= 0.

    g is the mean log-increment per matured label, over the last half of the labels, of the bet
    that leads. The band draws that half's blocks anew. It is a forecast of growth as it was, no
    guarantee; nothing is in sight before 8 blocks.

    Args:
        counts: matured labels of each block, (m,), in time's order.
        increments: what each added to each bet's log-capital, (m, K); K = 1 for evidence that is
            no mixture: differences of its log.
        alpha: of the verdict.
        generator: for the bootstrap.

    Raises:
        ValueError: shapes don't match.
    """
    count, gains = np.asarray(counts, np.float64), np.asarray(increments, np.float64)
    if count.ndim != 1 or gains.ndim != 2 or len(gains) != len(count):
        raise ValueError(f"counts {count.shape} must be (m,), and increments {gains.shape} (m, K)")
    log_bets = gains.sum(axis=0)
    rest = -math.log(alpha) - float(log_mean_e(log_bets))
    if rest <= 0:
        return Forecast(0, 0, 0)
    if len(count) < _BLOCKS:
        return Forecast(None, None, None)
    half = np.cumsum(count) > count.sum() / 2
    recent, leader = count[half], gains[half, int(log_bets.argmax())]
    drawn = generator.integers(len(recent), size=(_DRAWS, len(recent)))
    labels = np.append(recent.sum(), recent[drawn].sum(axis=1))
    growth = np.append(leader.sum(), leader[drawn].sum(axis=1))
    with np.errstate(divide="ignore"):
        needed = np.where(growth > 0, np.ceil(rest * labels / growth), np.inf)
    low, high = np.quantile(needed[1:], (0.1, 0.9), method="nearest")
    return Forecast(_in_sight(needed[0]), _in_sight(low), _in_sight(high))


def date_of(labels: int | None, times: ArrayLike, matured: ArrayLike) -> int | None:
    """When so many further labels will have matured, ms UTC; None if not in sight.

    Args:
        labels: how many, or None.
        times: ms UTC, rising, (m,), m >= 2; the first is now.
        matured: labels that will have matured since now, by then, (m,): those of events that wait
            mature when their age reaches the maturity. Beyond the end, they go on at their mean
            rate.

    Raises:
        ValueError: times do not rise, the curve does not begin with 0, or falls.
    """
    time, curve = np.asarray(times, np.int64), np.asarray(matured, np.float64)
    if len(time) < 2 or (np.diff(time) <= 0).any() or curve[0] or (np.diff(curve) < 0).any():
        raise ValueError("a maturity curve needs rising times, and counts from 0 that never fall")
    if labels is None or (labels and not curve[-1]):
        return None
    if labels > curve[-1]:
        rest = labels / float(curve[-1]) * int(time[-1] - time[0])
        return int(time[0]) + math.ceil(rest) if rest < _NO_TIME else None
    # The first time at which the curve is there, on the line from the point before.
    place = int(np.searchsorted(curve, labels))
    if place == 0:
        return int(time[0])
    part = (labels - curve[place - 1]) / (curve[place] - curve[place - 1])
    return int(time[place - 1] + math.ceil(part * (time[place] - time[place - 1])))


def _in_sight(labels: float) -> int | None:
    return int(labels) if math.isfinite(labels) else None
