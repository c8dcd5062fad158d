"""What is remembered of the values of one entity, such as all cards."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.events.record_batch import EventBatch
from streams.features.cold_order import ColdOrder
from streams.features.entity_arrays import (
    kernel_plan,
    larger_arena,
    larger_tiles,
    new_arena,
    new_tiles,
)
from streams.features.entity_ids import new_slots
from streams.features.erasures import Cuts, without_erased
from streams.features.feature_rows import FeatureRows
from streams.features.hashing import Secret
from streams.features.kernels.blocks import LENGTH, TILE_ROW, free_blocks, new_blocks
from streams.features.kernels.enums import Counter, Group, Stat
from streams.features.kernels.eviction import erase_before, find_idle, forget_blocks
from streams.features.kernels.id_index import NEVER, count_kept, new_index, rebuild
from streams.features.kernels.journal import forgotten_words, ousted_words, undo
from streams.features.kernels.update import NO_LABEL_ORDER, NO_ORDER, NO_TILES, update_entity
from streams.features.label_batch import LabelBatch
from streams.features.numeric_columns import numbers_of
from streams.features.plan import EntityPlan
from streams.features.undo_log import Recording, Recordings
from streams.features.window_settings import WindowSettings

_SIZE_CLASSES = 40
_FLOOR_WORDS = 4
_EVENTS_PER_LOOK, _LOOKS_PER_NEW = 16, 2
"""How many entities a batch looks at for idle ones: a sixteenth of its events, and two for each
new entity, so that there are never much more than twice as many as are needed."""


class EntityState:
    """The windows of all values of one entity: `kernels.py` says what its arrays hold."""

    def __init__(
        self, plan: EntityPlan, settings: WindowSettings, secret: Secret, *, texts: bool
    ) -> None:
        self.plan = plan
        self.secret = secret
        self.slots = new_slots(secret, texts=texts)
        self.keep_ms = plan.retention_ms + settings.allowed_lateness
        self._max_events = settings.max_events_per_entity
        self.settings = settings
        self._label_column = plan.label_column
        self.has_labels = plan.label_column >= 0
        self.arena = new_arena(plan, 1 << 12)
        self.blocks = new_blocks(1 << 8)
        self.free = np.full(_SIZE_CLASSES, -1, np.int64)
        self.tiles = new_tiles(plan, self.keep_ms, 1)
        self.free_tile_rows = [0]
        self.counters = np.zeros(len(Counter), np.int64)
        self.counters[[Counter.NEWEST, Counter.FIRST, Counter.OUSTED_TO]] = NEVER
        self._cold = ColdOrder()
        self.index = new_index(1 << 10 if self.has_labels else 1)
        self.indexed = 0
        self.matched = 0
        self._recordings = Recordings()
        self._kernel_plan = kernel_plan(plan)
        distinct = bool((plan.group_kind == Group.DISTINCT).any())
        members = 1 << (2 * self._max_events - 1).bit_length() if distinct else 0
        self._scratch = (
            np.empty((plan.window_ms.size, len(Stat))),
            np.zeros((members + 1, 2), np.int64),
        )

    def count(self, counter: Counter) -> int:
        """One of the counters."""
        return int(self.counters[counter])

    @property
    def newest(self) -> int:
        """Latest event time, ms; `NEVER` before the first."""
        return int(self.counters[Counter.NEWEST])

    @property
    def nbytes(self) -> int:
        """Memory of arrays and names in bytes."""
        arrays = (*self.arena, *self.tiles[:2], self.index, self.blocks, self._scratch[1])
        used = sum(array.nbytes for array in arrays) + self._cold.nbytes
        return used + self._recordings.nbytes + self.slots.nbytes

    def update(
        self,
        batch: EventBatch,
        event_hashes: NDArray[np.int64],
        labels: LabelBatch,
        label_hashes: NDArray[np.int64],
        answers: FeatureRows,
        cuts: Cuts,
    ) -> None:
        """Take in a batch and write this entity's features and flags to `answers`.

        Args:
            cuts: erased values: their events before the cut count as events without this entity.
        """
        if not self._recordings:
            self.slots.fresh.clear()
        known_before = len(self.slots.fresh)
        values = batch.values(self.plan.entity)
        slots = self._find_slots(without_erased(values, batch.times, cuts) if cuts else values)
        rows = numbers_of(batch, self.plan.columns, self.secret)
        if self.has_labels:
            # Before the batch counts as seen: it may itself reach further than the windows.
            self._reserve_index(len(batch) + len(labels))
        else:
            event_hashes, label_hashes = np.zeros(len(batch), np.int64), np.empty(0, np.int64)
        self._cold.begin(len(batch))
        # Copies, because numba would compile anew for an array that is read-only or strided.
        events = (slots, np.array(batch.times, np.int64), rows, event_hashes)
        known = (
            label_hashes,
            np.array(labels.values, np.float64),
            np.array(labels.before, np.int64),
        )
        settings = self.settings
        limits = (
            self.keep_ms,
            self.plan.retention_ms,
            settings.max_events_per_entity,
            settings.max_entities,
            settings.max_waiting_labels,
        )
        event = label = 0
        while True:
            event, label, entries, matched, words = update_entity(
                event,
                label,
                events,
                known,
                self.arena,
                self.blocks,
                self.free,
                self.counters,
                self.index,
                self.secret.words,
                self.tiles,
                self._kernel_plan,
                limits,
                self._cold.for_kernel,
                self._recordings.journal,
                self._scratch,
                answers,
            )
            self.indexed += entries
            self._recordings.note_matched(matched)
            if event == len(batch) and label == label_hashes.size:
                break
            if words == NO_TILES:
                self._give_tiles(int(slots[event]))
            elif words == NO_ORDER:
                live = self.count(Counter.LIVE)
                self._cold.order_entities(live, self.arena[0], self.blocks, len(self.slots.names))
            elif words == NO_LABEL_ORDER:
                self._cold.order_labels(self.count(Counter.WAITING), self.index)
            elif words:
                self._recordings.reserve(words)
            else:
                self._enlarge_arena()
        gone = self._cold.ousted()
        if gone.size:  # but for those that have come again
            self._forget_names(gone[self.blocks[gone, LENGTH] == 0])
        new = len(self.slots.fresh) - known_before
        self._evict(len(batch) // _EVENTS_PER_LOOK + new * _LOOKS_PER_NEW)

    def erase(self, cuts: Cuts) -> None:
        """Forget what erased values have of before their cuts, as if it had never been."""
        for value, cut in cuts.items():
            slot = self.slots.known(value)
            if slot < 0 or not self.blocks[slot, LENGTH]:
                continue
            words = ousted_words(int(self.blocks[slot, LENGTH]), self.arena[1]) + _FLOOR_WORDS
            self._recordings.reserve(words)
            _, entries = self._erase_before(slot, cut)
            self.indexed -= entries
            if not self.blocks[slot, LENGTH]:
                self.counters[Counter.LIVE] -= 1
                self._forget_names(np.array([slot]))
            self._cold.forget()

    def _erase_before(self, slot: int, cut: int) -> tuple[int, int]:
        events, entries = erase_before(
            self._recordings.journal,
            self.arena,
            self.blocks,
            self.index,
            self.secret.words,
            slot,
            cut,
        )
        return int(events), int(entries)

    def warm_up(self) -> None:
        """Compile what an empty batch has no use for."""
        nothing = np.empty(0, np.int64)
        times, values, hashes, _ = self.arena
        find_idle(times, self.blocks, 0, 1, 0, nothing)
        forget_blocks(self._recordings.journal, times, values, hashes, self.blocks, nothing)
        self.slots.warm_up(self.secret)
        self.secret.hash_texts([""])
        cold = ColdOrder()
        cold.order_entities(0, times, self.blocks, 0)
        cold.order_labels(0, self.index)
        count_kept(self.index, 0, 0)
        self._erase_before(0, 0)
        rebuild(self.index, new_index(len(self.index)), self.secret.words, 0, 0)

    def savepoint(self) -> None:
        """Record what changes from here on."""
        self.slots.fresh = self._recordings.begin(
            self.counters, self.indexed, len(self.slots.names)
        ).changes

    def commit(self) -> None:
        """Forget the oldest savepoint."""
        recording = self._recordings.end(0)
        self.matched += recording.matched
        self._free_slots(recording.evicted)
        if not self._recordings:
            self.slots.fresh = []

    def rollback(self) -> None:
        """Go back to the oldest savepoint, and forget all savepoints."""
        while self._recordings:
            self._take_back(self._recordings.end(-1))
        self.slots.fresh = []

    @property
    def evicted_slots(self) -> list[int]:
        """Slots of what was evicted since the oldest savepoint: out of use, and not free yet."""
        return [slot for recording in self._recordings for slot in recording.evicted]

    def _take_back(self, recording: Recording) -> None:
        for floor, index in reversed(recording.indexes):
            self._undo_to(floor, recording.journal)
            self.index = index
        self._undo_to(1, recording.journal)
        for change in reversed(recording.changes):
            if isinstance(change, int):
                self.slots.forget([change])
            else:
                self.slots.restore(*change)
        taken = recording.taken.tolist()[::-1]
        self.free_blocks_of(taken)
        self.slots.free.extend(slot for slot in taken if slot < recording.names)
        del self.slots.names[recording.names :]
        self._cold.forget()
        recording.counters[Counter.USED] = self.counters[Counter.USED]
        self.counters = recording.counters
        self.indexed = recording.indexed

    def _undo_to(self, word: int, journal: NDArray[np.int64]) -> None:
        undo(
            journal,
            word,
            self.arena,
            self.blocks,
            self.index,
            self.secret.words,
            self.tiles,
            self._label_column,
        )

    def _evict(self, looks: int) -> None:
        """Look at some entities, and forget those that no event in time can need."""
        total = len(self.slots.names)
        looks = min(looks, total)
        if looks == 0 or self.newest == NEVER:
            return
        start = int(self.counters[Counter.SWEPT]) % total
        self.counters[Counter.SWEPT] = (start + looks) % total
        times, values, hashes, _ = self.arena
        idle = np.empty(looks, np.int64)
        oldest = self.newest - self.keep_ms
        found, events = find_idle(times, self.blocks, start, total, oldest, idle)
        if found == 0:
            return
        idle = idle[:found].copy()
        words = forgotten_words(events, values) + found * forgotten_words(0, values)
        self._recordings.reserve(words)
        journal = self._recordings.journal
        forget_blocks(journal, times, values, hashes, self.blocks, idle)
        self.counters[Counter.EVICTED] += found
        self.counters[Counter.LIVE] -= found
        self._forget_names(idle)

    def _forget_names(self, gone: NDArray[np.int64]) -> None:
        slots = gone.tolist()
        evicted = list(zip(slots, self.slots.forget(slots), strict=True))
        if self._recordings:
            # An undo brings them back: their slots are free only once that savepoint is committed.
            self.slots.fresh.extend(evicted)
        else:
            self._free_slots(slots)

    def _free_slots(self, slots: list[int]) -> None:
        self.free_blocks_of(slots)
        self.slots.free.extend(slots)

    def free_blocks_of(self, slots: list[int]) -> None:
        """Let others take over the places and tiles of some slots' entities."""
        rows = self.blocks[slots, TILE_ROW] if slots else np.empty(0, np.int64)
        self.free_tile_rows.extend((rows[rows > 0] - 1).tolist())
        free_blocks(self.arena[0], self.blocks, self.free, np.array(slots, np.int64))

    def _find_slots(self, values: list[Any]) -> NDArray[np.int64]:
        slots = self.slots.find(values)
        if len(self.slots.names) > len(self.blocks):
            room = max(2 * len(self.blocks), len(self.slots.names))
            blocks = new_blocks(room)
            blocks[: len(self.blocks)] = self.blocks
            self.blocks = blocks
        return slots

    def _give_tiles(self, slot: int) -> None:
        """Let the oldest events of a slot's entity go into tiles from here on."""
        if not self.free_tile_rows:
            rows = len(self.tiles[0])
            self.tiles = larger_tiles(self.plan, self.keep_ms, self.tiles)
            self.free_tile_rows = list(range(rows, 2 * rows))
        row = self.free_tile_rows.pop()
        self.tiles[0][row] = NEVER
        self.blocks[slot, TILE_ROW] = row + 1

    def _enlarge_arena(self) -> None:
        # One block may need twice the largest share, whatever the arena's size.
        used = int(self.counters[Counter.USED])
        places = max(2 * self.arena[0].size, used + 4 * self._max_events)
        self.arena = larger_arena(self.plan, self.arena, places)

    def _reserve_index(self, added: int) -> None:
        if 4 * (self.indexed + added) <= 3 * len(self.index):
            return
        oldest = max(NEVER, self.newest - self.keep_ms)
        first = int(self.counters[Counter.FIRST])
        kept = int(count_kept(self.index, oldest, first))
        index = new_index(1 << (2 * (kept + added) - 1).bit_length())
        self.indexed, self.counters[Counter.WAITING] = rebuild(
            self.index, index, self.secret.words, oldest, first
        )
        if self._recordings:
            self._recordings[-1].indexes.append((int(self._recordings.journal[0]), self.index))
        self.index = index
