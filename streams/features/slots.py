"""Which slot of the state each value of an entity has."""

from typing import Any


class Slots(dict[Any, int]):
    """Entity value to slot; a new value gets a slot of its own, a missing one has slot -1.

    Attributes:
        names: the value in each slot.
    """

    def __init__(self, names: list[Any] | None = None) -> None:
        self.names: list[Any] = [] if names is None else names
        super().__init__(zip(self.names, range(len(self.names)), strict=True))
        self[None] = -1

    def __missing__(self, value: Any) -> int:
        slot = self[value] = len(self.names)
        self.names.append(value)
        return slot

    @property
    def taken(self) -> int:
        """How many values have a slot."""
        return len(self) - 1
