"""Slots, each used by one batch at a time, for any number of threads."""

from collections import deque
from collections.abc import Sequence
from threading import Condition
from typing import Generic, TypeVar

from inference.engine.protocol import EngineError

_Slot = TypeVar("_Slot")


class SlotPool(Generic[_Slot]):
    """Hands out slots until it is closed.

    Args:
        slots: all of them, free.
    """

    def __init__(self, slots: Sequence[_Slot]) -> None:
        self._free = deque(slots)
        self._size = len(slots)
        self._closed = False
        self._changed = Condition()

    def take(self) -> _Slot:
        """Wait for a slot.

        Only for who holds none: of two threads that each hold some and wait for one more, neither
        would get on.

        Raises:
            EngineError: the pool is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._closed)
            if self._closed:
                raise EngineError("the engine is closed")
            return self._free.popleft()

    def take_if_free(self) -> _Slot | None:
        """Return a slot if one is free."""
        with self._changed:
            return self._free.popleft() if self._free and not self._closed else None

    def give_back(self, slot: _Slot) -> None:
        """Make a slot free for the next batch."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()

    def close(self) -> None:
        """Hand out no more, and wait until all slots are back; a second call does nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._free) == self._size)
