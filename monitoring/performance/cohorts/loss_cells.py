"""Losses by cells: enough to bet on their mean later, against any reference.

Cells are 2^(1/16) wide, 4.4 %, and stand for their lower end: evidence that losses are high is
never more than that of the losses themselves.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_EDGES = 2.0 ** (np.arange(54 * 16 + 1) / 16 - 10)
"""From a thousandth to 2^44 of the currency; what is below the first is 0."""


def cells_of(losses: NDArray[np.float64]) -> NDArray[np.int64]:
    """The cells of n losses, 0 or more; 0 has cell 0."""
    return np.asarray(np.searchsorted(_EDGES, losses, side="right"))


def losses_at_least(cells: Mapping[int, int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The loss that each cell stands for, and how many events are in it, (m,) each."""
    places = np.array(sorted(cells), np.int64)
    lower = np.append(0.0, _EDGES)
    return lower[places], np.array([cells[place] for place in places.tolist()], np.int64)
