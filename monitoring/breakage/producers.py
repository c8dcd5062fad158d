"""Whose events moved: the producer on whom they concentrate.

For each producer, moved and other events of its own and of all others make a table of two by two.
ln of the likelihood ratio of two shares against one (Wilks, Annals of Mathematical Statistics 9,
1938: twice it is chi-squared) has to be as large as other evidence is, and the producer has to
bring nearly all that is more than usual.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy  # type: ignore[import-untyped]

from monitoring.breakage.magnitudes import Counts
from monitoring.breakage.shares import SURE

PART = 0.8
TIMES = 2.0


class Source(NamedTuple):
    """A producer and the part of all moved events, beyond the usual ones, that it sent."""

    producer: str
    part: float


def source(moved: Mapping[str, tuple[int, int]], base: float = 0.0) -> Source | None:
    """Name the producer that moved events come from, None where it is none or several.

    Args:
        moved: of each producer, events that moved, and all of its events.
        base: the share of such events in the reference.
    """
    table = np.array(list(moved.values()), np.float64).reshape(-1, 2)
    yes, total = table.sum(axis=0) if len(table) else (0.0, 0.0)
    if len(table) < 2 or not yes:
        return None
    excess = table[:, 0] - base * table[:, 1]
    more = float(np.maximum(excess, 0).sum())
    place = int(excess.argmax())
    own, rest = table[place], np.array([yes, total]) - table[place]
    share, others = own[0] / max(own[1], 1), rest[0] / max(rest[1], 1)
    if not more or excess[place] < PART * more or share < TIMES * others:
        return None
    ratio = _log_likelihood(*own) + _log_likelihood(*rest) - _log_likelihood(yes, total)
    return Source(list(moved)[place], float(excess[place] / more)) if ratio >= SURE else None


def moved_by(
    by_producer: Mapping[str, Counts], buckets: NDArray[np.bool_]
) -> dict[str, tuple[int, int]]:
    """Of each producer, how many values fall into these buckets (4096,), and how many there are."""
    return {
        name: (int(counts[buckets].sum()), int(counts.sum()))
        for name, counts in by_producer.items()
    }


def _log_likelihood(events: float, total: float) -> float:
    """Of a share at its best: x ln(x/n) + (n-x) ln((n-x)/n)."""
    if not total:
        return 0.0
    other = total - events
    return float(xlogy(events, events / total) + xlogy(other, other / total))
