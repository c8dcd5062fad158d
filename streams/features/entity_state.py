"""What is remembered of the values of one entity, such as all cards."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.events import EventBatch
from streams.features.chunk_sums import CHUNK, CHUNK_SUMS
from streams.features.id_index import EMPTY, NEVER, SLOT, count_kept, rebuild
from streams.features.identity import hash_integers, hash_texts
from streams.features.kernels import update_entity
from streams.features.label_batch import LabelBatch
from streams.features.plan import LABEL_COLUMN, EntityPlan
from streams.features.slots import Slots
from streams.features.statistics import Counter, Group, Stat
from streams.features.window_settings import WindowSettings

_SIZE_CLASSES = 40

Arena = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]
"""Times, values (columns, places), id hashes and sums of chunks."""


class EntityState:
    """The windows of all values of one entity: `kernels.py` says what its arrays hold."""

    def __init__(self, plan: EntityPlan, settings: WindowSettings) -> None:
        self.plan = plan
        self.slots = Slots()
        self._keep_ms = plan.retention_ms + settings.allowed_lateness
        self._max_events = settings.max_events_per_entity
        self.has_labels = plan.label_column >= 0
        self.arena = self.new_arena(1 << 12)
        self.blocks = np.zeros((1 << 8, 4), np.int64)  # offset, capacity, start, length
        self.free = np.full(_SIZE_CLASSES, -1, np.int64)
        self.counters = np.zeros(len(Counter), np.int64)
        self.index = new_index(1 << 10 if self.has_labels else 1)
        self.indexed = 0
        self.newest = NEVER
        self._kernel_plan = (
            (
                plan.group_kind,
                plan.group_column,
                plan.group_delay,
                plan.group_excludes_event,
                plan.group_windows,
            ),
            plan.window_ms,
            (
                plan.output_window,
                plan.output_stat,
                plan.output_feature,
                plan.output_empty,
                plan.output_column,
            ),
            plan.label_column,
        )
        distinct = bool((plan.group_kind == Group.DISTINCT).any())
        members = 1 << (2 * self._max_events - 1).bit_length() if distinct else 0
        self._scratch = (
            np.empty((plan.window_ms.size, len(Stat))),
            np.zeros((members + 1, 2), np.int64),
        )

    @property
    def dropped(self) -> int:
        """How many events were forgotten early."""
        return int(self.counters[Counter.DROPPED])

    @property
    def nbytes(self) -> int:
        """Memory of the arrays in bytes."""
        arrays = (*self.arena, self.index, self.blocks, self._scratch[1])
        return sum(array.nbytes for array in arrays)

    def update(
        self,
        batch: EventBatch,
        event_hashes: NDArray[np.int64],
        labels: LabelBatch,
        label_hashes: NDArray[np.int64],
        matrix: NDArray[np.float64],
    ) -> None:
        """Take in a batch and write this entity's features to the columns of `matrix`."""
        slots = self._find_slots(batch.values(self.plan.entity))
        rows = self._rows(batch)
        if self.has_labels:
            # Before the batch counts as seen: it may itself reach further than the windows.
            self._reserve_index(len(batch) + len(labels))
        else:
            event_hashes, label_hashes = np.zeros(len(batch), np.int64), np.empty(0, np.int64)
        if len(batch):
            self.newest = max(self.newest, int(batch.times.max()))
        # Copies, because numba would compile anew for an array that is read-only or strided.
        events = (slots, np.array(batch.times, np.int64), rows, event_hashes)
        known = (
            label_hashes,
            np.array(labels.values, np.float64),
            np.array(labels.before, np.int64),
        )
        event = label = 0
        while True:
            event, label, entries = update_entity(
                event, label, events, known, self.arena, self.blocks, self.free,
                self.counters, self.index, self._kernel_plan,
                (self._keep_ms, self._max_events, self.newest), self._scratch, matrix,
            )  # fmt: skip
            self.indexed += entries
            if event == len(batch) and label == label_hashes.size:
                return
            self._enlarge_arena()

    def _find_slots(self, values: list[Any]) -> NDArray[np.int64]:
        slots = np.fromiter(map(self.slots.__getitem__, values), np.int64, len(values))
        if self.slots.taken > len(self.blocks):
            room = max(2 * len(self.blocks), self.slots.taken)
            blocks = np.zeros((room, 4), np.int64)
            blocks[: len(self.blocks)] = self.blocks
            self.blocks = blocks
        return slots

    def _rows(self, batch: EventBatch) -> NDArray[np.float64]:
        rows = np.empty((len(self.plan.columns), len(batch)))
        for row, (how, name) in zip(rows, self.plan.columns, strict=True):
            if how == "number":
                row[:] = batch.numbers(name)
            elif how == "text":
                row[:] = hash_texts(batch.values(name))
            elif how == "integer":
                row[:] = hash_integers(batch.values(name), batch.numbers(name))
            elif how == LABEL_COLUMN:
                row[:] = 0.0
        return rows

    def new_arena(self, places: int) -> Arena:
        """Return an arena with room for so many events."""
        columns = max(1, len(self.plan.columns))
        chunks = -(-places // CHUNK)
        return (
            np.empty(places, np.int64),
            np.empty((columns, places)),
            np.empty(places if self.has_labels else 0, np.int64),
            np.empty((CHUNK_SUMS, columns, chunks), np.int64),
        )

    def _enlarge_arena(self) -> None:
        old = self.arena
        # One block may need twice the largest share, whatever the arena's size.
        used = int(self.counters[Counter.USED])
        arena = self.new_arena(max(2 * old[0].size, used + 4 * self._max_events))
        for target, source in zip(arena, old, strict=True):
            target[..., : source.shape[-1]] = source
        self.arena = arena

    def _reserve_index(self, added: int) -> None:
        if 2 * (self.indexed + added) <= len(self.index):
            return
        oldest = max(NEVER, self.newest - self._keep_ms)
        kept = int(count_kept(self.index, oldest))
        index = new_index(1 << (4 * (kept + added) - 1).bit_length())
        self.indexed = int(rebuild(self.index, index, oldest, self.newest))
        self.index = index


def new_index(places: int) -> NDArray[np.int64]:
    """Return an empty id index; `places` is a power of two."""
    index = np.empty((places, 3), np.int64)
    index[:, SLOT] = EMPTY
    return index
