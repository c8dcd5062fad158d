"""Finding the one record that a batch fails for.

A failure may have passed when the batch is tried again. If it has not, batches become smaller
until the record stands alone; what comes before it is answered on the way.
"""


class Bisection:
    """How much to take next, after failures.

    Args:
        max_batch: largest batch when all is well.
    """

    def __init__(self, max_batch: int) -> None:
        self._max_batch = max_batch
        self._suspects = 0
        self.limit = max_batch

    @property
    def active(self) -> bool:
        """Whether something is being looked for; batches are then to be settled one by one."""
        return self._suspects > 0

    def failed(self, size: int) -> bool:
        """Note that a batch of this size failed.

        Returns whether it is proven that its only record is to blame.
        """
        if not self.active:
            # Once more, all of it: whatever was the matter may be over.
            self._suspects = self.limit = max(1, size)
            return False
        if size <= 1:
            self._end()
            return True
        self.limit = size // 2
        return False

    def passed(self, size: int) -> None:
        """Note that a batch was committed."""
        if not self.active:
            return
        self._suspects -= size
        if self._suspects <= 0:
            self._end()

    def _end(self) -> None:
        self._suspects = 0
        self.limit = self._max_batch
