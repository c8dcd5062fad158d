"""Which arm a key falls to: a salted hash, the same in every worker and at every time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.routing.points import Points

_DOMAIN = b"weir-arms\0"


class Assignment:
    """Tells the arm of keys.

    A key is a point in [0, 1), salted with the experiment's name: another experiment mixes the keys
    anew. The first arm has the points from 0 up, so that who was in it stays there when its share
    grows; the other arms have those from 1 down, in their order; the champion has the rest.

    Args:
        experiment: the salt.
        shares: of the arms beside the champion, each in [0, 1], with a sum of 1 at most.

    Attributes:
        points: the points in [0, 1) of keys, (n,).
    """

    def __init__(self, experiment: str, shares: Sequence[float]) -> None:
        self.points = Points(_DOMAIN + experiment.encode())
        self._first = shares[0] if shares else 0.0
        # Where each of the others begins, from the last one up.
        self._begins = 1.0 - np.cumsum(np.array(shares[1:], np.float64))[::-1]

    def arms(self, keys: Sequence[int | str]) -> NDArray[np.int8]:
        """The arm of each key, (n,): 0 for the champion, k for the k-th arm; 5 is as "5"."""
        return self.arms_of(self.points(keys))

    def arms_of(self, points: NDArray[np.float64]) -> NDArray[np.int8]:
        """The arm of each point, (n,)."""
        arms = np.zeros(len(points), np.int8)
        if self._begins.size:
            place = np.searchsorted(self._begins, points, side="right")
            others = place > 0
            arms[others] = self._begins.size + 2 - place[others]
        arms[points < self._first] = 1
        return arms
