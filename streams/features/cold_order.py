"""Who leaves first where there are too many: heaps that are made when they are needed."""

import numpy as np
from numpy.typing import NDArray

from streams.features.kernels.coldest import (
    ENTITIES,
    LABELS,
    NO_HEAP,
    OUSTED,
    order_entities,
    order_labels,
)

_SPARE_ROWS = 1 << 10
_NOBODY = np.empty(0, np.int64)


class ColdOrder:
    """The order in which an entity's values, and labels that wait, make room for others.

    It holds nothing that the windows do not say, takes no memory below the limits and then 27 bytes
    for each entity and label, and is made anew after a rollback.
    """

    def __init__(self) -> None:
        self._heaps = [np.empty((0, 3), np.int64), np.empty((0, 3), np.int64)]
        self._sizes = np.array([NO_HEAP, NO_HEAP, 0], np.int64)
        self._ousted = _NOBODY

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(heap.nbytes for heap in self._heaps)

    def begin(self, events: int) -> None:
        """A batch of so many events is about to be taken in."""
        self._ousted = np.empty(events, np.int64)
        self._sizes[OUSTED] = 0

    @property
    def for_kernel(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """See `cold` of `update_entity`."""
        return self._heaps[ENTITIES], self._heaps[LABELS], self._sizes, self._ousted

    def ousted(self) -> NDArray[np.int64]:
        """Slots of the entities that the batch made leave, each once."""
        count = int(self._sizes[OUSTED])
        return np.unique(self._ousted[:count]) if count else _NOBODY

    def forget(self) -> None:
        """What is in order now need not be what was before."""
        self._sizes[:] = NO_HEAP

    def order_entities(
        self, live: int, times: NDArray[np.int64], blocks: NDArray[np.int64], slots: int
    ) -> None:
        """Make the heap of the `live` entities among the first so many slots."""
        self._heaps[ENTITIES] = _new_heap(live)
        order_entities(self._heaps[ENTITIES], self._sizes, times, blocks, slots)

    def order_labels(self, waiting: int, index: NDArray[np.int64]) -> None:
        """Make the heap of the labels that wait."""
        self._heaps[LABELS] = _new_heap(waiting)
        order_labels(self._heaps[LABELS], self._sizes, index)


def _new_heap(rows: int) -> NDArray[np.int64]:
    return np.empty((rows + rows // 8 + _SPARE_ROWS, 3), np.int64)
