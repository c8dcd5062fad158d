"""Whether a process is alive and ready, and what it waits for where it isn't."""

from collections.abc import Callable, Sequence
from threading import Event, get_ident
from time import monotonic

STUCK_S = 300.0
"""A main loop that has not turned for so long is taken for stuck. Kafka does so too: its default of
`max.poll.interval.ms` takes a consumer's partitions away by then."""


class WatchedStop(Event):
    """What a process is told to stop by, which knows when the main loop last looked at it.

    Every loop asks `stop.is_set()` each time it turns: that is its sign of life, and costs it
    nothing. Only the thread that makes this counts; whoever waits for `stop` is alive, too.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._watched = get_ident()
        self._waits = False
        self._looked_at = clock()

    def is_set(self) -> bool:
        """Whether the process is to stop."""
        if get_ident() == self._watched:
            self._looked_at = self._clock()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the process is to stop, `timeout` seconds at most; whether it is."""
        if get_ident() != self._watched:
            return super().wait(timeout)
        self._waits = True
        try:
            return super().wait(timeout)
        finally:
            self._looked_at = self._clock()
            self._waits = False

    @property
    def unseen_s(self) -> float:
        """For how many seconds the main loop has not looked at it."""
        return 0.0 if self._waits else self._clock() - self._looked_at


class Health:
    """What `/livez`, `/readyz` and `weir_ready` say of a process; any thread may ask.

    Attributes:
        phase: what the start is at, or was at last.
    """

    def __init__(self, stop: WatchedStop) -> None:
        self._stop = stop
        self.phase = "starting"
        self._waits_for: Callable[[], Sequence[str]] = lambda: [self.phase]

    def starting(self, what: str) -> None:
        """Note what the start is at, such as ``reaching Kafka``: until it works, it isn't ready."""
        self.phase = what

    def working(self, waits_for: Callable[[], Sequence[str]]) -> None:
        """The main loop runs from now on, and is ready whenever `waits_for` names nothing."""
        self._waits_for = waits_for

    def not_ready(self) -> list[str]:
        """All that keeps it from doing its work now, in words; nothing when it is ready."""
        if self._stop.is_set():
            return ["stopping"]
        return list(self._waits_for())

    def not_alive(self) -> list[str]:
        """Why it has to be started anew, in words; nothing while its main loop turns."""
        unseen_s = self._stop.unseen_s
        if unseen_s < STUCK_S:
            return []
        return [f"the main loop has not turned for {unseen_s:.0f} s: start the process anew"]
