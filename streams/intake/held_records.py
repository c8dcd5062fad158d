"""Records that can't be decoded yet, which are tried again a little later."""

from collections.abc import Callable

from confluent_kafka import Message

from streams.kafka.partition import PartitionId

_HOLD_MS = 250
"""After how long records that could not be decoded yet are tried again."""

_TRY_AT_ONCE = 1_000


class HeldRecords:
    """Holds such records with all behind them in their partition; other partitions go on.

    Args:
        steady_ms: what waiting is measured by: a clock that nobody sets.
    """

    def __init__(self, steady_ms: Callable[[], int]) -> None:
        self._steady_ms = steady_ms
        self._held: dict[PartitionId, list[Message]] = {}
        self._until_ms = 0

    @property
    def any(self) -> bool:
        """Whether something is held."""
        return bool(self._held)

    def count(self, place: PartitionId) -> int:
        """How many records of a partition are held."""
        return len(self._held.get(place, ()))

    def hold(self, place: PartitionId, run: list[Message]) -> None:
        """Hold what can't be decoded yet, and what came behind it."""
        self._held[place] = run
        self._until_ms = self._steady_ms() + _HOLD_MS

    def queue_behind(self, place: PartitionId, run: list[Message]) -> bool:
        """Hold what came just now if something before it is held; whether it is."""
        if place not in self._held:
            return False
        self._held[place] += run
        return True

    def try_again(self, feed: Callable[[PartitionId, list[Message]], None]) -> None:
        """Feed what was held for long enough, in pieces.

        A long queue is not gone through for a short part.

        Args:
            feed: takes records, and calls `hold` with those that it can't take.
        """
        if not self._held or self._steady_ms() < self._until_ms:
            return
        held, self._held = self._held, {}
        for place, run in held.items():
            for first in range(0, len(run), _TRY_AT_ONCE):
                feed(place, run[first : first + _TRY_AT_ONCE])
                if self.queue_behind(place, run[first + _TRY_AT_ONCE :]):
                    break

    def clear(self) -> None:
        """Forget all: reading goes on elsewhere."""
        self._held = {}
