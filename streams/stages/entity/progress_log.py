"""How far the source partitions had come where a stage's log has to be read again."""

from collections import deque

from streams.stages.common.consumed_rows import QueueKey
from streams.stages.common.messages import SourceProgress


class ProgressLog:
    """The last word of each source partition before an offset of the log.

    Attributes:
        before: these, by source partition.
    """

    def __init__(self, offset: int, before: dict[QueueKey, SourceProgress]) -> None:
        self._offset = offset
        self.before = before
        self._behind: deque[tuple[int, QueueKey, SourceProgress]] = deque()

    def add(self, offset: int, key: QueueKey, progress: SourceProgress) -> None:
        """Take in the progress of the next record."""
        if offset < self._offset:
            self.before[key] = progress
        else:
            self._behind.append((offset, key, progress))

    def move_to(self, offset: int) -> None:
        """Reading would go on at this offset from now on; it is none before the last one."""
        self._offset = offset
        while self._behind and self._behind[0][0] < offset:
            _, key, progress = self._behind.popleft()
            self.before[key] = progress
