"""A part of a partition's state: the entries whose keys begin alike."""

from streams.loop.stateless.keyed_state import PartitionState


class Kept:
    """Entries by name.

    Args:
        parts: what their keys begin with.
    """

    def __init__(self, state: PartitionState, *parts: str) -> None:
        self._state = state
        self._parts = parts
        self._prefix = "".join(f"{each}/" for each in parts).encode()

    def get(self, name: str) -> bytes | None:
        """What is kept under a name; None for nothing."""
        return self._state.get(self._prefix + name.encode())

    def put(self, name: str, value: bytes | None) -> None:
        """Keep a value; what is the same as before is not written down again."""
        if self.get(name) != value:
            self._state.put(self._prefix + name.encode(), value)

    def names(self) -> list[str]:
        """All that is kept, also what is below."""
        size = len(self._prefix)
        found = (key[size:] for key, _ in self._state.items() if key.startswith(self._prefix))
        return [each.decode() for each in found]

    def below(self, *parts: str) -> "Kept":
        """A part of this part."""
        return Kept(self._state, *self._parts, *parts)
