"""How fast a file is replayed: as fast as it goes, in a multiple of event time, or at a rate."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

BURST_S = 0.05
"""What was missed is caught up only as far as this: a replay that was held up for a second goes on
a second later, instead of flooding its readers."""

_PACE = re.compile(r"(?P<speed>\d+(?:\.\d+)?)x|(?P<rate>\d+(?:\.\d+)?)/s")


@dataclass(frozen=True)
class Pace:
    """How fast events follow one another; neither `speed` nor `rate` means as fast as they can.

    Attributes:
        speed: seconds of event time per second.
        rate: events per second.
    """

    speed: float | None = None
    rate: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Pace":
        """Read ``"max"``, a speed such as ``"1000x"``, or a rate such as ``"5000/s"``.

        Raises:
            ValueError: the text is none of these, or zero.

        >>> Pace.parse("5000/s")
        Pace(speed=None, rate=5000.0)
        """
        text = text.strip()
        if text == "max":
            return cls()
        match = _PACE.fullmatch(text)
        numbers = {name: float(n) for name, n in match.groupdict().items() if n} if match else {}
        if not any(number > 0 and math.isfinite(number) for number in numbers.values()):
            raise ValueError(
                f"{text!r} is no pace: write 'max', a multiple of event time such as '1000x', or "
                "events per second such as '5000/s'"
            )
        return cls(**numbers)

    def __str__(self) -> str:
        if self.speed is not None:
            return f"{self.speed:g}x"
        return "max" if self.rate is None else f"{self.rate:g}/s"


class Schedule:
    """Says how many events are due; the first one is from the beginning.

    In any time T no more than ``T + BURST_S`` worth of events becomes due.

    Args:
        times: of the events, UTC milliseconds, ascending, shape (n,).
        clock: seconds, never going back.
    """

    def __init__(
        self, pace: Pace, times: NDArray[np.int64], clock: Callable[[], float] = perf_counter
    ) -> None:
        self._pace = pace
        self._times = times
        self._clock = clock
        self._elapsed = 0.0
        self._last = clock()

    def due(self) -> tuple[int, int]:
        """The number of events that are due, and the event time up to which labels are, ms."""
        now = self._clock()
        self._elapsed += min(now - self._last, BURST_S)
        self._last = now
        times, pace = self._times, self._pace
        if pace.speed is not None:
            reached = int(times[0]) + int(self._elapsed * 1000 * pace.speed)
            return int(np.searchsorted(times, reached, side="right")), reached
        count = len(times)
        if pace.rate is not None:
            count = min(count, 1 + int(self._elapsed * pace.rate))
        return count, int(times[count - 1])
