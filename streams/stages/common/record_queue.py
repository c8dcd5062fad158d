"""Which records of a log still have rows that wait."""

from collections import deque
from collections.abc import Sequence


class RecordQueue:
    """Records of a log, ascending in offset, and how many rows of each were not taken."""

    def __init__(self) -> None:
        self._records: deque[tuple[int, int]] = deque()

    @property
    def first(self) -> int | None:
        """Offset of the first record with rows that wait."""
        return self._records[0][0] if self._records else None

    def add(self, offset: int, rows: int) -> None:
        """Queue the rows of a record."""
        if rows:
            self._records.append((offset, rows))

    def take(self, rows: int) -> list[tuple[int, int]]:
        """Take the first rows; returns what was taken of which record."""
        taken = []
        while rows:
            offset, count = self._records.popleft()
            if count > rows:
                self._records.appendleft((offset, count - rows))
            taken.append((offset, min(count, rows)))
            rows -= taken[-1][1]
        return taken

    def put_back(self, taken: Sequence[tuple[int, int]]) -> None:
        """Undo a `take`."""
        for offset, rows in reversed(taken):
            if self.first == offset:
                rows += self._records.popleft()[1]
            self._records.appendleft((offset, rows))
