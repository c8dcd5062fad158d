"""How many batches of an arm were slow, by the champion's times of the same span.

A load spike slows both, and makes no arm slow.
"""

from collections.abc import Sequence

from inference.routing.arm import Arm
from inference.shadow.statistics.guardrails import latency_bound

_BATCHES = 1_000


class LatencySpan:
    """Takes the champion's times until there are enough to judge the arms by."""

    def __init__(self) -> None:
        self._champion_s: list[float] = []

    def observe(self, seconds: float) -> None:
        """Take the champion's time of a batch of which an arm had a part."""
        self._champion_s.append(seconds)

    def end_if_long(self, arms: Sequence[Arm]) -> None:
        """Count the arms' batches since the last span, once this one is long enough."""
        if len(self._champion_s) < _BATCHES:
            return
        bound = latency_bound(self._champion_s)
        for arm in arms:
            times, arm.times = arm.times, []
            arm.counts.timed += len(times)
            arm.counts.slow += sum(each > bound for each in times)
        self._champion_s = []
