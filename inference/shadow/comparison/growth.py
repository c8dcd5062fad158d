"""How evidence grew with event time, in blocks: what a forecast of further labels goes by."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.shadow.statistics.betting import Capital, superiority

_MOST_BLOCKS = 64
_FIRST_WIDTH = 3_600_000

Block = tuple[int, Capital]
"""Mature events, and what they added to the evidence that the candidate costs less."""


@dataclass(frozen=True)
class Growth:
    """Blocks of event time, 64 at most: where there are more, their width, in ms, doubles."""

    width: int = _FIRST_WIDTH
    blocks: dict[int, Block] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        times: NDArray[np.int64],
        differences: NDArray[np.float64],
        weights: NDArray[np.int64],
        worst: float,
    ) -> "Growth":
        """Take n mature events, whose differences are known; see `cost_differences`."""
        places = times // _FIRST_WIDTH
        found = []
        for place in np.unique(places).tolist():
            own = places == place
            gains = differences[own]
            found.append((place, (int(weights[own].sum()), superiority(gains[gains != 0], worst))))
        return _blocks(_FIRST_WIDTH, found)

    def __add__(self, other: "Growth") -> "Growth":
        width = max(self.width, other.width)
        found = [
            (place * each.width // width, block)
            for each in (self, other)
            for place, block in each.blocks.items()
        ]
        return _blocks(width, found)

    @property
    def in_order(self) -> list[Block]:
        """The blocks, the earliest first."""
        return [block for _, block in sorted(self.blocks.items(), key=lambda each: each[0])]


def _blocks(width: int, found: Iterable[tuple[int, Block]]) -> Growth:
    while True:
        blocks: dict[int, Block] = {}
        for place, (count, capital) in found:
            events, gained = blocks.get(place, (0, Capital()))
            blocks[place] = (events + count, gained + capital)
        if len(blocks) <= _MOST_BLOCKS:
            return Growth(width, blocks)
        width *= 2
        found = [(place // 2, block) for place, block in blocks.items()]
