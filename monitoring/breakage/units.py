"""A change of unit: values became f times what they were, such as cents for euros.

All quantiles then have the same ratio f, zeros stay, signs stay. So F(x) = F_ref(x / f), which is
compared at the edges of all magnitude buckets. An edge over f falls within a bucket, where F_ref is
only known between its two edges; what remains outside of them is the distance

    D(f) = max over edges b of  max(0, F(b) - F_ref(upper edge of b/f), F_ref(lower edge) - F(b))

of Kolmogorov, at its least favourable. Of several producers one may have changed: a share s, by
least squares over the edges, F = (1 - s) F_ref + s F_ref(. / f). The noise of D is bounded as by
Dvoretzky, Kiefer and Wolfowitz, with Massart's constant (Annals of Probability 18, 1990):
sqrt(ln(2 / a) / 2 (1/n + 1/m)).

An ordinary shift of a wide feature is a factor, too. So |ln f| of a known factor has to be 1.5
standard deviations of ln |x|, or .75 where it fits nearly perfectly, and of any other factor 2.5.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitoring.breakage.magnitudes import (
    ASCENDING,
    CEILINGS,
    FLOORS,
    INFINITE,
    NEGATIVE,
    ZERO,
    Counts,
    size_quantiles,
)

KNOWN: dict[float, str] = {
    100: "cents for euros?",
    1_000: "thousandths, such as milliseconds for seconds?",
    60: "minutes for hours, or seconds for minutes?",
    3_600: "seconds for hours?",
    24: "hours for days?",
    86_400: "seconds for days?",
    1_000_000: "millionths?",
    1 / 100: "euros for cents?",
    1 / 1_000: "thousands, such as seconds for milliseconds?",
    1 / 60: "hours for minutes, or minutes for seconds?",
    1 / 3_600: "hours for seconds?",
    1 / 24: "days for hours?",
    1 / 86_400: "days for seconds?",
    1 / 1_000_000: "millions?",
}
"""Factors that are ratios of units, and what they suggest; 1,024 can't be told from 1,000."""

LEVELS = np.linspace(0.1, 0.9, 9)
LEAST_VALUES = 30
LEAST_SHARE = 0.05
WHOLE = 0.93
"""A fitted share above this is no part: sampling alone leaves it below 1."""
FIT, NEAR_FIT, PART_FIT = 1 / 3, 1 / 10, 1 / 5
"""Of the distance without a factor, what may be left with it: of all events, where the factor is
near to an ordinary shift, and of a share of the events.
"""
NEAR_SPREADS, KNOWN_SPREADS, OTHER_SPREADS = 0.75, 1.5, 2.5
BETTER = 1 / 2
"""Of what a shift of all events leaves, what a share of them with a factor may leave."""
ZEROS = 0.25
"""How far the share of zeros may move, which no factor moves."""
_NOISE = math.log(2 / 1e-3) / 2
_TAIL = 1e-3
_DECILES = 2.563  # apart in a normal distribution, in standard deviations
_FACTORED = (ASCENDING != ZERO) & (ASCENDING % NEGATIVE != INFINITE)
"""Buckets of values that a factor moves."""


class UnitChange(NamedTuple):
    """Values are ``factor`` times what they were, in this share of the events.

    Attributes:
        known: whether the factor is one of `KNOWN`; else it is the median ratio of quantiles.
        left: what of the distance to the reference the factor leaves.
    """

    factor: float
    share: float
    known: bool
    left: float


def unit_change(reference: Counts, now: Counts, least: float = OTHER_SPREADS) -> UnitChange | None:
    """Find the factor that explains best what became of the reference; None if none does.

    Args:
        reference, now: counts by magnitude; zeros and negative values are welcome.
        least: |ln f| of a factor that is not known, in standard deviations of ln |x|. Give 0 where
            only one producer's values are asked about, and others' have not moved: then .92 is
            more likely another currency than another world.
    """
    before, after = _cumulated(reference), _cumulated(now)
    if before is None or after is None:
        return None
    (f_ref, m, zero_ref), (f_now, n, zero_now) = before, after
    noise = math.sqrt(_NOISE * (1 / n + 1 / m))
    apart = float(np.abs(f_now - f_ref).max())
    if apart <= 2 * noise or abs(zero_now - zero_ref) > ZEROS + noise:
        return None
    ratio, spread = _ratio(reference, now)
    left_by_shift = _left(f_ref, f_now, *_sources(ratio), 1.0)
    found = []
    for factor in KNOWN:
        sources = _sources(factor)
        spreads = abs(math.log(factor)) / spread if spread else math.inf
        allowed = FIT if spreads >= KNOWN_SPREADS else NEAR_FIT if spreads >= NEAR_SPREADS else 0
        left = _left(f_ref, f_now, *sources, 1.0)
        if allowed and left <= min(max(noise, allowed * apart), left_by_shift + noise):
            found.append(UnitChange(factor, 1.0, True, left / apart))
        share = _share(f_ref, f_now, *sources)
        left = _left(f_ref, f_now, *sources, share)
        if (
            LEAST_SHARE <= share < WHOLE
            and spreads >= KNOWN_SPREADS
            and left <= min(max(noise, PART_FIT * apart), BETTER * left_by_shift)
            and apart >= 3 * noise
            and _tail_fits(reference, now, factor, share, n)
        ):
            found.append(UnitChange(factor, share, True, left / apart))
    if found:
        return min(found, key=lambda each: each.left)
    size = abs(math.log(ratio))
    if size < max(least * spread, math.log(1.05)) or (least and size < math.log(2)):
        return None
    if left_by_shift > max(noise, PART_FIT * apart):
        return None
    return UnitChange(ratio, 1.0, False, left_by_shift / apart)


def _cumulated(counts: Counts) -> tuple[NDArray[np.float64], int, float] | None:
    """F at `FLOORS` of the values that are finite and not 0, their number, the share of zeros."""
    ascending = np.where(_FACTORED, counts[ASCENDING], 0)
    zeros = int(counts[ZERO])
    total = int(ascending.sum())
    if total < LEAST_VALUES:
        return None
    below = np.append(0, np.cumsum(ascending)[:-1]) / total
    return below, total, zeros / (total + zeros)


def _ratio(reference: Counts, now: Counts) -> tuple[float, float]:
    """The median ratio of quantiles of |x|, and the standard deviation of ln |x| by deciles."""
    before = np.log(size_quantiles(reference, LEVELS))
    after = np.log(size_quantiles(now, LEVELS))
    spread = float(before[-1] - before[0]) / _DECILES
    return math.exp(float(np.median(after - before))), spread


def _places(factor: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each of `FLOORS` over the factor, the places of the edges around it: at or below, above.

    Both are the same where it falls on an edge.
    """
    with np.errstate(over="ignore"):
        source = FLOORS / factor
    lower = np.searchsorted(FLOORS, source, side="right") - 1
    exact = FLOORS[lower] == source
    return lower, np.where(exact, lower, np.minimum(lower + 1, len(FLOORS) - 1))


@cache
def _known_places(factor: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return _places(factor)


def _sources(factor: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return _known_places(factor) if factor in KNOWN else _places(factor)


def _share(
    f_ref: NDArray[np.float64],
    f_now: NDArray[np.float64],
    lower: NDArray[np.int64],
    upper: NDArray[np.int64],
) -> float:
    """The share of moved events that fits best, by least squares; any number."""
    moved = (f_ref[lower] + f_ref[upper]) / 2 - f_ref
    weight = float(moved @ moved)
    return float((f_now - f_ref) @ moved) / weight if weight else 0.0


def _left(
    f_ref: NDArray[np.float64],
    f_now: NDArray[np.float64],
    lower: NDArray[np.int64],
    upper: NDArray[np.int64],
    share: float,
) -> float:
    """The distance D that this share leaves."""
    rest = (1 - share) * f_ref
    over = f_now - (rest + share * f_ref[upper])
    under = rest + share * f_ref[lower] - f_now
    return max(0.0, float(over.max()), float(under.max()))


def _tail_fits(reference: Counts, now: Counts, factor: float, share: float, n: int) -> bool:
    """Whether the values that a share would bring beyond the reference's last one are there.

    Two groups in the reference that mix otherwise look like a factor between them, but bring no
    value that was never seen.
    """
    level = 1 - _TAIL if factor > 1 else _TAIL
    bound = size_quantiles(reference, np.array([level]))[0]
    usual, moved, seen = (
        _beyond(counts, limit, factor > 1)
        for counts, limit in ((reference, bound), (reference, bound / factor), (now, bound))
    )
    expected = share * moved + (1 - share) * usual
    if n * (expected - usual) < 10:
        return False
    slack = 0.3 * expected + 3 * math.sqrt(expected / n) + usual
    return abs(seen - expected) <= slack


def _beyond(counts: Counts, limit: float, above: bool) -> float:
    """The share of |x| at or above the limit, or below it, of the values that count."""
    ascending = counts[ASCENDING]
    inside = np.minimum(np.abs(FLOORS), np.abs(CEILINGS))
    chosen = _FACTORED & (inside >= limit if above else inside < limit)
    return float(ascending[chosen].sum() / max(1, ascending[_FACTORED].sum()))
