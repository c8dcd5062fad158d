"""Where a snapshot lies, as it is kept beside the committed offsets.

The group's commits carry it in their metadata: offsets and snapshot are read together, and someone
who resets the group's offsets by hand removes the pointer with them, so that state of another
position is never used.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_MARK = "weir-snapshot"


@dataclass(frozen=True, order=True)
class Pointer:
    """A complete snapshot on the snapshot topic.

    Attributes:
        sequence: later snapshots of a group have larger ones.
        partition: of the snapshot topic.
        first, last: offsets of its first part and of its manifest, which comes last.
    """

    sequence: int
    partition: int
    first: int
    last: int

    def metadata(self) -> str:
        """The text that goes with a committed offset."""
        return f"{_MARK} {self.sequence} {self.partition} {self.first} {self.last}"

    @classmethod
    def parse(cls, metadata: str | None) -> "Pointer | None":
        """What a committed offset's metadata says; None if it is of another's making."""
        words = (metadata or "").split()
        if len(words) != 5 or words[0] != _MARK or not all(word.isdecimal() for word in words[1:]):
            return None
        return cls(*map(int, words[1:]))

    @classmethod
    def found_in(cls, metadata: str) -> "Pointer | None":
        """What stands behind other metadata and a blank; None if it is no pointer."""
        return cls.parse(" ".join(metadata.split(" ")[-5:]))


def newest_pointer(metadata: Iterable[str | None]) -> Pointer | None:
    """The latest snapshot that any of the committed offsets knows."""
    return max(filter(None, map(Pointer.parse, metadata)), default=None)
