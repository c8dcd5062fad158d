"""Values of entities that are to be forgotten, and from when on their events count again.

What is erased is a function of event times, so that a state which is rebuilt from input forgets the
same as one that was there: of an erased value, events before a moment count as events without
that entity. The moment lies a little ahead of the erasure, so that every scorer has heard of it
when it comes.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Cuts = Mapping[Any, int]
"""Value to the event time (ms) from which on its events count."""

_NOTHING: Cuts = MappingProxyType({})


class Erasures:
    """Which values are erased. One thread changes it while others read.

    Attributes:
        number: raised with every change.
    """

    def __init__(self) -> None:
        self._cuts: dict[str, dict[Any, int]] = {}
        self.number = 0

    def add(self, entity: str, value: Any, before: int) -> None:
        """Let events of a value count from `before` on only."""
        known = self._cuts.get(entity, {})
        cuts = known | {value: max(before, known.get(value, before))}
        self._cuts = self._cuts | {entity: cuts}
        self.number += 1

    def of(self, entity: str) -> Cuts:
        """The erased values of an entity; never changed."""
        return self._cuts.get(entity, _NOTHING)

    def __len__(self) -> int:
        return sum(map(len, self._cuts.values()))


def without_erased(values: Sequence[Any], times: NDArray[np.int64], cuts: Cuts) -> list[Any]:
    """The values of n events, None for those that count as events without the entity."""
    return [
        None if value in cuts and time < cuts[value] else value
        for value, time in zip(values, times.tolist(), strict=True)
    ]
