"""Hints of adversaries: amounts or scores that crowd just under a bound, and one card's variations.

Under a bound: of the values within a width of it, the part below is compared with that of the
reference. Wherever a whole distribution moves, both sides of a narrow strip move alike; a jump at
the bound is somebody who knows it. As McCrary's density test (Journal of Econometrics 142, 2008),
with the reference instead of a fit, since amounts crowd at round numbers anyway.

Variations: consecutive events of a card that differ, but in no field by more than a step of
magnitude (12.5 %), as when somebody tries what passes.
"""

import math

import numpy as np
from numpy.typing import NDArray

from inference.shadow.statistics.guardrails import log_e_rate_above
from monitoring.breakage.shares import SURE, limit_above
from streams.base.compiled_code import kept_njit

CROWD_TIMES = 1.5
VARIATION_TIMES, LEAST_VARIATIONS = 3.0, 0.5
_FEWEST = int(-SURE / math.log(LEAST_VARIATIONS))
"""Variations: fewer can't be evidence enough."""


def sides(
    values: NDArray[np.float32], bound: float, width: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which values (n,) lie in [bound - width, bound), and which in [bound, bound + width)."""
    below = (values >= bound - width) & (values < bound)
    return below, (values >= bound) & (values < bound + width)


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

    @property
    def of_others(self) -> tuple[int, int]:
        """`near` and `pairs` of all keys but the one with most variations."""
        most = int(self._counts[:, 0].argmax())
        return self.near - int(self._counts[most, 0]), self.pairs - int(self._counts[most, 1])

    def add(self, keys: NDArray[np.uint64], values: NDArray[np.float32]) -> None:
        """Take events in, in their order: hashed keys (n,), none of them 0, and values (n, F)."""
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        _vary(keys, bits, self._keys, self._last, self._counts, self._total)

    def found(self, usual: tuple[int, int]) -> dict[int, tuple[int, int]]:
        """Keys of whom most consecutive events are variations: how many of how many pairs.

        Args:
            usual: `near` and `pairs` of a quiet past.
        """
        limit = limit_above(*usual, times=VARIATION_TIMES, least=LEAST_VARIATIONS)
        if limit >= 1:
            return {}
        near, pairs = self._counts.T
        held = np.flatnonzero(near >= _FEWEST)
        sure = held[log_e_rate_above(near[held], pairs[held], limit) >= SURE]
        return {int(self._keys[place]): (int(near[place]), int(pairs[place])) for place in sure}


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
