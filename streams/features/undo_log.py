"""What has changed since each savepoint that is still open."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIRST_WORDS = 1 << 12
_SPARE_WORDS = 1 << 20
_NO_JOURNAL = np.ones(1, np.int64)


@dataclass
class Recording:
    """What changed since a savepoint, and what was before it.

    Attributes:
        journal: see `streams.features.kernels.journal`.
        counters, indexed: copies of the state's own.
        names: how many slots there were.
        changes: slots that new values got, and ``(slot, value)`` of those evicted, in order.
        indexes: id indexes that were replaced, with the journal's length at that moment.
        matched: how many labels found their event.
    """

    journal: NDArray[np.int64]
    counters: NDArray[np.int64]
    indexed: int
    names: int
    changes: list[int | tuple[int, Any]] = field(default_factory=list)
    indexes: list[tuple[int, NDArray[np.int64]]] = field(default_factory=list)
    matched: int = 0

    @property
    def taken(self) -> NDArray[np.int64]:
        """Slots that new values got."""
        return np.array([each for each in self.changes if isinstance(each, int)], np.int64)

    @property
    def evicted(self) -> list[int]:
        """Slots whose values were evicted."""
        return [each[0] for each in self.changes if not isinstance(each, int)]


class Recordings(list[Recording]):
    """Recordings of all open savepoints, the oldest first; only the last one grows."""

    def __init__(self) -> None:
        super().__init__()
        self._spare: list[NDArray[np.int64]] = []

    def begin(self, counters: NDArray[np.int64], indexed: int, names: int) -> Recording:
        """Open a savepoint."""
        journal = self._spare.pop() if self._spare else np.empty(_FIRST_WORDS, np.int64)
        journal[0] = 1
        self.append(Recording(journal, counters.copy(), indexed, names))
        return self[-1]

    def end(self, position: int) -> Recording:
        """Close a savepoint: 0 is the oldest, -1 the newest."""
        recording = self.pop(position)
        if recording.journal.size <= _SPARE_WORDS:
            self._spare.append(recording.journal)
        return recording

    def note_matched(self, labels: int) -> None:
        """Count labels that found their event, if a savepoint is open."""
        if self:
            self[-1].matched += labels

    @property
    def journal(self) -> NDArray[np.int64]:
        """Where changes are written down now; see `streams.features.kernels.journal`."""
        return self[-1].journal if self else _NO_JOURNAL

    def reserve(self, words: int) -> None:
        """Make room in the journal, where changes are written down."""
        if not self:
            return
        used = int(self[-1].journal[0])
        if used + words > self[-1].journal.size:
            journal = np.empty(2 * (used + words), np.int64)
            journal[:used] = self[-1].journal[:used]
            self[-1].journal = journal

    @property
    def nbytes(self) -> int:
        """Memory of the journals in bytes."""
        return sum(recording.journal.nbytes for recording in self)
