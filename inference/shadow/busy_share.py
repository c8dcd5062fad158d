"""How much of its time a worker may be busy: beyond that, events are shed."""

from collections.abc import Callable
from time import monotonic

LEAST_KEPT = 1 / 64
_FASTEST = 2.0
"""A share of events grows so much from one batch to the next at most."""


class BusyShare:
    """Finds the share of events that can be worked on.

    Time is that of the clock: where others want the processors, the same work takes longer, and so
    less is done.

    Args:
        most: of all time, that may go into it; 1 for all of it.
        clock: seconds; nobody sets it back.
    """

    def __init__(self, most: float, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._at = clock()
        self._took_s = 0.0
        self._kept = 1.0

    def spend(self, took_s: float) -> None:
        """It took so long."""
        self._took_s += took_s

    def keep(self) -> float:
        """The share of the next batch's events, by what became of the last one's."""
        if self._most >= 1:
            return 1.0
        now = self._clock()
        allowed_s = self._most * (now - self._at)
        factor = min(allowed_s / self._took_s, _FASTEST) if self._took_s else _FASTEST
        self._kept = min(max(self._kept * factor, LEAST_KEPT), 1.0)
        self._at, self._took_s = now, 0.0
        return self._kept
