"""Whether to begin a transaction now, or to wait a little for more records to share it."""

from collections.abc import Callable
from time import monotonic


class Linger:
    """Lets records wait for company, the first of them no longer than a given time.

    Args:
        max_wait_ms: 0 for not at all.
        enough: with this many there is nothing to wait for.
        clock: seconds; nobody sets it back.
    """

    def __init__(
        self, max_wait_ms: int, enough: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._max_wait_s = max_wait_ms / 1e3
        self._enough = enough
        self._clock = clock
        self._since: float | None = None

    def due(self, waiting: int) -> bool:
        """Whether to take what waits; asked whenever something may have come or gone."""
        if not waiting:
            self._since = None
            return True
        if not self._max_wait_s or waiting >= self._enough:
            return True
        now = self._clock()
        if self._since is None:
            self._since = now
        return now - self._since >= self._max_wait_s

    def begun(self) -> None:
        """A transaction has begun; what is left, or comes, begins to wait now."""
        self._since = None
