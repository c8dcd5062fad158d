"""One figure that is watched for ever: Shiryaev-Roberts over daily e-values, with a run's sums.

See `inference.shadow.statistics.detectors`. An alarm lasts as long as the evidence is at the bound.
So that it can end, evidence is cut a little above it, which changes nothing before an alarm.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.shadow.statistics.detectors import watch

_ABOVE = 3.0


@dataclass(frozen=True)
class Detector:
    """What is kept of the past: a few numbers.

    Attributes:
        bets: ln(1 + S) of each bet, (K,); empty before the first step.
        since: the day on which the present run of evidence above 0 began, in days since the epoch:
            when it changed, as far as can be told; None without a run.
        found, expected: sums over that run: what was found, and what would have been without a
            change.
    """

    bets: tuple[float, ...] = ()
    since: int | None = None
    found: float = 0.0
    expected: float = 0.0

    def step(
        self, day: int, log_e: NDArray[np.float64], bound: float, found: float, expected: float
    ) -> "Detector":
        """The detector after a further day.

        Args:
            log_e: log e-values of the day, one for each bet, (K,).
            bound: ln of how many days shall pass until a false alarm, in the mean.
            found, expected: of the day.
        """
        before = np.array(self.bets) if self.bets else np.zeros(len(log_e))
        state, said = watch(before, log_e[None])
        excess = max(float(said[0]) - bound - _ABOVE, 0.0)
        bets = tuple(np.maximum(state - excess, 0.0).tolist())
        if said[0] <= 0:
            return Detector(bets)
        since = day if self.since is None else self.since
        return Detector(bets, since, self.found + found, self.expected + expected)

    @property
    def evidence(self) -> float:
        """Ln of the mean S over bets."""
        mean = float(np.mean(np.expm1(self.bets))) if self.bets else 0.0
        return math.log(mean) if mean > 0 else -math.inf
