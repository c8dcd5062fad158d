"""Producers, partitions or streams that fell silent, by their past counts for the hour of the week.

Counts c of a block are negative binomial with the mean u of their hour and the dispersion r of the
past (variance u + u^2 / r), so that bursts are no surprise and their absence is little of one. Each
block bets that the rate is 2 % of the usual one, against a quarter of it at least:

    ln e = c ln(.02 / .25) + (c + r) ln((r + .25 u) / (r + .02 u))

an e-value for every rate above a quarter, since the ratio falls in c. Bursts last for many blocks:
so r is the one of hours over the blocks of an hour, where that is less. The detector is Page's
(Biometrika 41, 1954): W = max(W, 0) + ln e, and silence began where W was 0 last. W is below the
Shiryaev-Roberts e-detector, whose false alarms are 1 / E apart (arXiv 2203.03532). A past that was
ever nearly silent, as at night where no week is known yet, has its own peak of W, and an alarm has
to be half as high again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitoring.breakage.shares import SURE

SILENT, ALIVE = 0.02, 0.25
HOUR_MS, DAY_H, WEEK_H = 3_600_000, 24, 168
_WEEKS, _DAYS = 2, 3
"""Of the past, from which on the hours of a week, or of a day, are told apart."""
_PEAK = 1.5
_POISSON = 1e9


@dataclass(frozen=True)
class Usual:
    """What is usual.

    Attributes:
        means: events a block, by hour of the week (UTC, from Thursday 0:00), (168,).
        dispersion: r; large for counts as of Poisson.
        peak: the highest W of the past.
        block_ms: the span of a block.
    """

    means: NDArray[np.float64]
    dispersion: float
    peak: float
    block_ms: int


class Silence(NamedTuple):
    """What fell silent, since when (ms), how many events were expected since, how many came."""

    since: int
    expected: float
    seen: int
    log_e: float


def usual(counts: NDArray[np.int64], first_ms: int, block_ms: int = 60_000) -> Usual:
    """Learn from counts of past blocks (n,), the oldest first, without gaps, that began at a time.

    By hour of the week from two weeks on, by hour of the day from three days on, else the mean of
    all: a past without a night takes the first one for a silence. Leave out silences that were
    none of the usual.

    Raises:
        ValueError: there is no block.
    """
    if not len(counts):
        raise ValueError("what is usual needs a block of the past")
    hours = _hours(first_ms, len(counts), block_ms)
    known_h = len(counts) * block_ms / HOUR_MS
    period = WEEK_H if known_h >= _WEEKS * WEEK_H else DAY_H if known_h >= _DAYS * DAY_H else 1
    of = hours % period
    blocks = np.bincount(of, minlength=period)
    means = np.bincount(of, weights=counts, minlength=period) / np.maximum(blocks, 1)
    expected = means[of]
    hour = max(1, HOUR_MS // block_ms)
    by_hour = _dispersion(_sums(counts, hour), _sums(expected, hour)) / hour
    dispersion = min(_dispersion(counts, expected), by_hour)
    level, _ = _page(counts, expected, dispersion)
    return Usual(np.resize(means, WEEK_H), dispersion, float(level.max()), block_ms)


def silent(counts: NDArray[np.int64], first_ms: int, past: Usual) -> Silence | None:
    """Say whether the latest whole blocks (n,), without gaps, end in a silence.

    Args:
        counts: the oldest first; a few hours are enough, a silence is found as far back as they go.
        first_ms: when the first block began, UTC ms.
        past: `usual` of earlier blocks of the same span.
    """
    if not len(counts):
        return None
    expected = past.means[_hours(first_ms, len(counts), past.block_ms)]
    level, start = _page(counts, expected, past.dispersion)
    if level[-1] < max(SURE, _PEAK * past.peak):
        return None
    since = int(start[-1])
    return Silence(
        first_ms + since * past.block_ms,
        float(expected[since:].sum()),
        int(counts[since:].sum()),
        float(level[-1]),
    )


def taken_over(missed: float, newcomers: Mapping[str, int]) -> bool:
    """Whether events that one producer lacks come from new ones: a version that is rolled out."""
    return sum(newcomers.values()) >= missed / 2 > 0


def newcomers(first_seen: Mapping[str, int], since: int, within_ms: int = HOUR_MS) -> list[str]:
    """Producers first seen within a span around a time (ms), the nearest first."""
    near = {name: abs(at - since) for name, at in first_seen.items()}
    return sorted((name for name in near if near[name] <= within_ms), key=near.__getitem__)


def _dispersion(counts: NDArray[Any], expected: NDArray[np.float64]) -> float:
    """r by the moments of counts around what was expected."""
    excess = float(((counts - expected) ** 2 - expected).sum())
    return min(max(float((expected**2).sum()) / excess, 1e-3), _POISSON) if excess > 0 else _POISSON


def _sums(values: NDArray[Any], blocks: int) -> NDArray[Any]:
    """Sums over so many blocks each; the last ones may be left out."""
    whole = len(values) // blocks
    return np.asarray(values[: whole * blocks].reshape(whole, blocks).sum(axis=1))


def _hours(first_ms: int, blocks: int, block_ms: int) -> NDArray[np.int64]:
    """The hour of the week of each block."""
    return (first_ms + block_ms * np.arange(blocks, dtype=np.int64)) // HOUR_MS % WEEK_H


def _page(
    counts: NDArray[np.int64], expected: NDArray[np.float64], dispersion: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """W after each block, and the block in which it began to rise."""
    growth = np.log1p(ALIVE * expected / dispersion) - np.log1p(SILENT * expected / dispersion)
    log_e = counts * math.log(SILENT / ALIVE) + (counts + dispersion) * growth
    after = np.cumsum(log_e)
    before = np.append(0.0, after[:-1])
    lowest = np.minimum.accumulate(before)
    # Of equal lows, the last: a night without expected events is no silence yet.
    here = np.where(before <= lowest, np.arange(len(before)), 0)
    return after - lowest, np.maximum.accumulate(here)
