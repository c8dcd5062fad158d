"""Hints of adversaries: amounts or scores that crowd just under a bound, and one card's variations.

Under a bound: of the values within a width of it, the part below is compared with that of the
reference. Wherever a whole distribution moves, both sides of a narrow strip move alike; a jump at
the bound is somebody who knows it. As McCrary's density test (Journal of Econometrics 142, 2008),
with the reference instead of a fit, since amounts crowd at round numbers anyway.

Variations: consecutive events of a card that differ, but in no field by more than a step of
magnitude (12.5 %), as when somebody tries what passes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.shadow.statistics.guardrails import log_e_rate_above
from monitoring.breakage.shares import SURE, evidence_above, limit_above
from streams.base.compiled_code import kept_njit

CROWD_TIMES = 1.5
VARIATION_TIMES, LEAST_VARIATIONS = 3.0, 0.5


class Crowd(NamedTuple):
    """Of the values beside a bound, the share below it, now and in the reference."""

    share: float
    before: float
    log_e: float


def beside(values: NDArray[np.float32], bound: float, width: float) -> tuple[int, int]:
    """How many values lie in [bound - width, bound), and in [bound, bound + width)."""
    below = np.count_nonzero((values >= bound - width) & (values < bound))
    above = np.count_nonzero((values >= bound) & (values < bound + width))
    return int(below), int(above)


def crowded_below(reference: tuple[int, int], now: tuple[int, int]) -> Crowd | None:
    """Say whether values crowd just under a bound; counts are those of `beside`.

    The odds of being below may be 1.5 times those of the reference. Take a width that holds a
    hundred values of the reference and more.
    """
    before, after = sum(reference), sum(now)
    if not before or not after:
        return None
    limit = limit_above(reference[0], before, times=CROWD_TIMES, least=0)
    log_e = evidence_above(now[0], after, limit)
    return Crowd(now[0] / after, reference[0] / before, log_e) if log_e >= SURE else None


class Variations:
    """Small variations by key within one span, in a table of fixed size.

    Each key has one place, by its lowest bits; of two keys with the same place, each takes it from
    the other, and begins anew. So memory is bounded, and a count errs on the side of calm.

    Attributes:
        near, pairs: over all keys: consecutive events that are variations, and all.
    """

    def __init__(self, features: int, places: int = 65_536) -> None:
        """A table of `places`, a power of two; `features` columns are compared."""
        if places & (places - 1) or places < 1:
            raise ValueError(f"places = {places} must be a power of two")
        self._keys = np.zeros(places, np.uint64)
        self._last = np.zeros((places, features), np.uint32)
        self._counts = np.zeros((places, 2), np.int64)
        self._total = np.zeros(2, np.int64)

    @property
    def near(self) -> int:
        """See the class."""
        return int(self._total[0])

    @property
    def pairs(self) -> int:
        """See the class."""
        return int(self._total[1])

    def add(self, keys: NDArray[np.uint64], values: NDArray[np.float32]) -> None:
        """Take events in, in their order: hashed keys (n,), none of them 0, and values (n, F)."""
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        _vary(keys, bits, self._keys, self._last, self._counts, self._total)

    def found(self, usual: tuple[int, int]) -> dict[int, int]:
        """Keys of whom most consecutive events are variations, with their number.

        Args:
            usual: `near` and `pairs` of a quiet past.
        """
        limit = limit_above(*usual, times=VARIATION_TIMES, least=LEAST_VARIATIONS)
        if limit >= 1:
            return {}
        near, pairs = self._counts.T
        held = np.flatnonzero(near)
        sure = held[log_e_rate_above(near[held], pairs[held], limit) >= SURE]
        return {int(self._keys[place]): int(near[place]) for place in sure}


@kept_njit(nogil=True, _nrt=False)
def _vary(keys, bits, table, last, counts, total):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    for i in range(len(keys)):
        place = keys[i] & mask
        if table[place] != keys[i]:
            table[place] = keys[i]
            counts[place, 0] = 0
            counts[place, 1] = 0
        else:
            near = True
            differs = False
            for j in range(bits.shape[1]):
                if bits[i, j] != last[place, j]:
                    differs = True
                    apart = np.int64(bits[i, j] >> 20) - np.int64(last[place, j] >> 20)
                    if abs(apart) > 1:
                        near = False
                        break
            counts[place, 1] += 1
            total[1] += 1
            if near and differs:
                counts[place, 0] += 1
                total[0] += 1
        for j in range(bits.shape[1]):
            last[place, j] = bits[i, j]
