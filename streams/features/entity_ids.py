"""Which slot of the state each value of an entity has."""

from sys import getsizeof
from typing import Any

_SAMPLE = 64
"""So many names tell how large one is."""


class Slots(dict[Any, int]):
    """Entity value to slot; a new value gets a slot of its own, a missing one has slot -1.

    Attributes:
        names: the value in each slot, ``None`` in those that are free.
        free: slots that were given back.
        fresh: slots that new values got are appended to it.
    """

    def __init__(self, names: list[Any] | None = None, free: list[int] | None = None) -> None:
        self.names: list[Any] = names or []
        self.free: list[int] = free or []
        self.fresh: list[Any] = []
        super().__init__(zip(self.names, range(len(self.names)), strict=True))
        self[None] = -1

    def __missing__(self, value: Any) -> int:
        if self.free:
            slot = self.free.pop()
            self.names[slot] = value
        else:
            slot = len(self.names)
            self.names.append(value)
        self[value] = slot
        self.fresh.append(slot)
        return slot

    def forget(self, slot: int) -> Any:
        """Forget the value in a slot, and return it; the slot is not free yet."""
        value = self.names[slot]
        del self[value]
        self.names[slot] = None
        return value

    def restore(self, slot: int, value: Any) -> None:
        """Give a forgotten value its slot again."""
        self[value] = slot
        self.names[slot] = value

    @property
    def nbytes(self) -> int:
        """About how much memory the values and their slots take, in bytes."""
        sample = self.names[: -_SAMPLE - 1 : -1]
        name = sum(map(getsizeof, sample)) // max(1, len(sample))
        return getsizeof(self) + getsizeof(self.names) + self.taken * (name + getsizeof(1 << 20))

    @property
    def taken(self) -> int:
        """How many values have a slot."""
        return len(self) - 1
