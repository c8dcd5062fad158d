"""Where a loop's time goes: all of it is cut into named stages."""

from collections.abc import Callable
from time import perf_counter

_TELL_S = 1.0


class StageClock:
    """Says of all time that passes in one thread what it was spent on.

    Args:
        observe: told a stage and the seconds spent in it since it was told of that stage last: with
            every batch, and about once a second where none comes.
        clock: seconds.
    """

    def __init__(
        self,
        observe: Callable[[str, float], None] = lambda *_: None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._at = self._told_at = clock()
        self._seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """What has passed since the last call of `lap` or `skip` was spent on this."""
        now = self._clock()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._at
        self._at = now
        if now - self._told_at >= _TELL_S:
            self.tell()

    def skip(self) -> None:
        """What has passed since the last call is told of by somebody else."""
        self._at = self._clock()

    def tell(self) -> None:
        """A batch is on its way: tell what the time was spent on."""
        self._told_at = self._at
        for stage, seconds in self._seconds.items():
            self._observe(stage, seconds)
        self._seconds.clear()
