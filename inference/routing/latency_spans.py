"""How many batches of an arm were slow, by the champion's times of the same span.

A load spike slows both, and makes no arm slow. Nor does it make an arm slow that it answers more
events than the champion: its batch is put beside those in which the champion had as many at least.
"""

from collections.abc import Sequence
from math import inf

from inference.routing.arm import Arm
from inference.shadow.statistics.guardrails import latency_bound

_BATCHES = 1_000


class LatencySpan:
    """Takes the champion's times until there are enough to judge the arms by."""

    def __init__(self) -> None:
        self._champion: list[tuple[int, float]] = []

    def observe(self, rows: int, seconds: float) -> None:
        """Take the champion's time of a batch of which an arm had a part."""
        if rows:  # else it has answered nothing, in no time
            self._champion.append((rows, seconds))

    def end_if_long(self, arms: Sequence[Arm]) -> None:
        """Count the arms' batches since the last span, once this one is long enough."""
        if len(self._champion) < _BATCHES:
            return
        bounds: dict[int, float] = {}
        for arm in arms:
            for rows, seconds in arm.take_times():
                least = 1 << (rows - 1).bit_length()  # few different ones: events wait meanwhile
                if least not in bounds:
                    bounds[least] = self._bound(least)
                if bounds[least] < inf:
                    arm.counts.timed += 1
                    arm.counts.slow += seconds > bounds[least]
        self._champion = []

    def _bound(self, least: int) -> float:
        """By the champion's batches of so many events at least; infinite for too few of them."""
        return latency_bound([seconds for rows, seconds in self._champion if rows >= least])
