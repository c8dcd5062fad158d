"""Half-open intervals of values, ``[low, high)``."""

import math
from collections.abc import Iterable

Interval = tuple[float, float]

EVERYTHING: Interval = (-math.inf, math.inf)


def gaps(wanted: Interval, covers: Iterable[Interval]) -> list[Interval]:
    """The parts of an interval that no other one covers, ascending.

    >>> gaps((0, 10), [(6, 8), (2, 4), (3, 6)])
    [(0, 2), (8, 10)]
    """
    at, end = wanted
    found = []
    for low, high in sorted(covers):
        if low > at:
            found.append((at, min(low, end)))
        at = max(at, high)
        if at >= end:
            return found
    return [*found, (at, end)]
