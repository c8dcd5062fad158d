"""Compiled: which entity has been cold for the longest time, and which label has waited for it.

A heap of rows ``(order, order among equals, what)``, the least one in front. It is made only once
there are as many as there may be, and may be thrown away at any time, so nothing is written down of
it. Rows are not kept up to date: what has changed since is seen when its row comes to the front.
A row is never ahead of what it stands for, so that nothing colder can be further behind.

Sizes are in an array: -1 of a heap that has to be made first.
"""

from streams.features.kernels.blocks import LENGTH, OFFSET, SEQUENCE, START
from streams.features.kernels.id_index import EMPTY, KEY, SLOT, find_place, number_of
from streams.features.kernels.numba_options import inlined, kernel

ENTITIES, LABELS, OUSTED = 0, 1, 2
"""Positions in the sizes: of the two heaps, and how many entities a batch has made leave."""
NO_HEAP = -1


@inlined
def _before(heap, row, order, among_equals):  # type: ignore[no-untyped-def]
    return heap[row, 0] < order or (heap[row, 0] == order and heap[row, 1] < among_equals)


@kernel
def _sink(heap, size, row):  # type: ignore[no-untyped-def]
    """Move a row back until none behind it is less."""
    order, among_equals, what = heap[row, 0], heap[row, 1], heap[row, 2]
    while True:
        child = 2 * row + 1
        if child >= size:
            break
        if child + 1 < size and _before(heap, child + 1, heap[child, 0], heap[child, 1]):
            child += 1
        if not _before(heap, child, order, among_equals):
            break
        heap[row, 0], heap[row, 1], heap[row, 2] = heap[child, 0], heap[child, 1], heap[child, 2]
        row = child
    heap[row, 0], heap[row, 1], heap[row, 2] = order, among_equals, what


@kernel
def put(heap, sizes, which, order, among_equals, what):  # type: ignore[no-untyped-def]
    """Add a row to a heap, if there is one; one that is full is thrown away."""
    row = sizes[which]
    if row == NO_HEAP:
        return
    if row == heap.shape[0]:
        sizes[which] = NO_HEAP
        return
    sizes[which] = row + 1
    while row > 0:
        parent = (row - 1) >> 1
        if not (
            order < heap[parent, 0] or (order == heap[parent, 0] and among_equals < heap[parent, 1])
        ):
            break
        heap[row, 0], heap[row, 1], heap[row, 2] = (
            heap[parent, 0],
            heap[parent, 1],
            heap[parent, 2],
        )
        row = parent
    heap[row, 0], heap[row, 1], heap[row, 2] = order, among_equals, what


@kernel
def drop_front(heap, sizes, which):  # type: ignore[no-untyped-def]
    """Remove the row in front."""
    last = sizes[which] - 1
    sizes[which] = last
    if last:
        heap[0, 0], heap[0, 1], heap[0, 2] = heap[last, 0], heap[last, 1], heap[last, 2]
        _sink(heap, last, 0)


@kernel
def order_entities(heap, sizes, times, blocks, total):  # type: ignore[no-untyped-def]
    """Make the heap of the entities in the first `total` slots that have events."""
    size = 0
    for slot in range(total):
        if blocks[slot, LENGTH]:
            end = blocks[slot, OFFSET] + blocks[slot, START] + blocks[slot, LENGTH]
            heap[size, 0], heap[size, 1] = times[end - 1], blocks[slot, SEQUENCE]
            heap[size, 2] = slot
            size += 1
    for row in range(size // 2 - 1, -1, -1):
        _sink(heap, size, row)
    sizes[ENTITIES] = size


@kernel
def order_labels(heap, sizes, index):  # type: ignore[no-untyped-def]
    """Make the heap of the labels that wait."""
    size = 0
    for place in range(index.shape[0]):
        if index[place, SLOT] < EMPTY:
            heap[size, 0], heap[size, 1] = number_of(index[place, SLOT]), 0
            heap[size, 2] = index[place, KEY]
            size += 1
    for row in range(size // 2 - 1, -1, -1):
        _sink(heap, size, row)
    sizes[LABELS] = size


@kernel
def coldest_entity(heap, sizes, times, blocks):  # type: ignore[no-untyped-def]
    """The slot of the entity whose latest event is the oldest, of several the one seen first.

    Its row is in front. There must be an entity that has events.
    """
    while True:
        slot = heap[0, 2]
        length = blocks[slot, LENGTH]
        if length == 0:
            drop_front(heap, sizes, ENTITIES)
            continue
        last = times[blocks[slot, OFFSET] + blocks[slot, START] + length - 1]
        if last == heap[0, 0] and blocks[slot, SEQUENCE] == heap[0, 1]:
            return slot
        heap[0, 0], heap[0, 1] = last, blocks[slot, SEQUENCE]
        _sink(heap, sizes[ENTITIES], 0)


@kernel
def oldest_label(heap, sizes, index, secret):  # type: ignore[no-untyped-def]
    """The place in the index of the label that has waited for longest; its row is removed."""
    while True:
        number, key = heap[0, 0], heap[0, 2]
        drop_front(heap, sizes, LABELS)
        place = find_place(index, secret, key)
        if index[place, SLOT] < EMPTY and number_of(index[place, SLOT]) == number:
            return place
