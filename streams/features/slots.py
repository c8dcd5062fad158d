"""Which slot of the state each value of an entity has."""

from typing import Any


class Slots(dict[Any, int]):
    """Entity value to slot; a new value gets a slot of its own, a missing one has slot -1.

    Attributes:
        names: the value in each slot, ``None`` in those that are free.
        free: slots that were given back.
        fresh: slots that new values got; whoever needs it empties or replaces it.
    """

    def __init__(self, names: list[Any] | None = None, free: list[int] | None = None) -> None:
        self.names: list[Any] = names or []
        self.free: list[int] = free or []
        self.fresh: list[int] = []
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

    def give_back(self, slot: int) -> None:
        """Forget the value in a slot; the next new value may get it."""
        del self[self.names[slot]]
        self.names[slot] = None
        self.free.append(slot)

    @property
    def taken(self) -> int:
        """How many values have a slot."""
        return len(self) - 1
