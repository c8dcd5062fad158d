"""What is remembered of each entity, and the feature vectors computed from it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as PydanticField

from streams.events import EventBatch
from streams.features.calendar import calendar_part
from streams.features.chunk_sums import CHUNK, CHUNK_SUMS
from streams.features.declarations import CalendarFeature, FieldFeature
from streams.features.id_index import EMPTY, NEVER, SLOT, count_kept, rebuild
from streams.features.identity import hash_ids, hash_integers, hash_texts
from streams.features.kernels import update_entity
from streams.features.plan import LABEL_COLUMN, EntityPlan, FeaturePlan
from streams.features.statistics import Counter, Group, Stat
from streams.section import Duration, Section

_SIZE_CLASSES = 40

_Arena = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]
"""Times, values (columns, places), id hashes and sums of chunks."""


class WindowSettings(Section):
    """The ``[windows]`` section: how much of the past the feature windows keep.

    Attributes:
        allowed_lateness: an event that comes no later than this after a newer one of its entity
            finds its windows complete.
        max_events_per_entity: beyond this an entity's oldest events are forgotten, and counted.
    """

    allowed_lateness: Duration = 3_600_000
    max_events_per_entity: int = PydanticField(default=65_536, ge=1, le=1 << 22)


@dataclass(frozen=True)
class LabelBatch:
    """Labels in the order in which they became known.

    Attributes:
        ids: ids of the events that they are about.
        values: 1 for fraud, 0 for legitimate, shape (m,).
        before: label k is known before event ``before[k]`` of the batch; ascending, shape (m,).
    """

    ids: list[Any] = field(default_factory=list)
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    before: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.ids)


class _Slots(dict[Any, int]):
    """Entity value to slot; a new value gets the next one, a missing one has slot -1."""

    def __init__(self) -> None:
        super().__init__({None: -1})

    def __missing__(self, value: Any) -> int:
        slot = self[value] = len(self) - 1
        return slot

    @property
    def taken(self) -> int:
        return len(self) - 1


class FeatureState:
    """Feature windows of all entities.

    One thread at a time. The state after a set of events and labels does not depend on their
    order, as long as no event is later than the allowed lateness.
    """

    def __init__(self, plan: FeaturePlan, settings: WindowSettings | None = None) -> None:
        self.plan = plan
        settings = settings or WindowSettings()
        self._entities = [_EntityState(entity, settings) for entity in plan.entities]

    def update(self, batch: EventBatch, labels: LabelBatch | None = None) -> NDArray[np.float64]:
        """Take in events one after another, each seeing those before it.

        Args:
            batch: n events in the order in which they count.
            labels: labels that became known before them.

        Returns:
            Feature vectors as float64, shape (n, len(plan.names)), NaN where missing.
        """
        labels = labels or LabelBatch()
        matrix = np.empty((len(batch), len(self.plan.names)))
        for column, declaration in enumerate(self.plan.declarations):
            if isinstance(declaration, FieldFeature):
                matrix[:, column] = batch.numbers(declaration.field)
            elif isinstance(declaration, CalendarFeature):
                matrix[:, column] = calendar_part(declaration, batch.times)
        if self.plan.reads_labels:
            event_hashes, label_hashes = hash_ids(batch.ids), hash_ids(labels.ids)
        else:
            event_hashes = label_hashes = np.empty(0, np.int64)
        for entity in self._entities:
            entity.update(batch, event_hashes, labels, label_hashes, matrix)
        return matrix

    @property
    def entities(self) -> dict[str, int]:
        """How many values of each entity are remembered."""
        return {state.plan.entity: state.slots.taken for state in self._entities}

    @property
    def dropped_events(self) -> dict[str, int]:
        """How many events were forgotten early, because an entity had more than its share."""
        return {state.plan.entity: state.dropped for state in self._entities}

    @property
    def nbytes(self) -> int:
        """Memory of the windows in bytes, without the entities' names."""
        return sum(state.nbytes for state in self._entities)


class _EntityState:
    def __init__(self, plan: EntityPlan, settings: WindowSettings) -> None:
        self.plan = plan
        self.slots = _Slots()
        self._keep_ms = plan.retention_ms + settings.allowed_lateness
        self._max_events = settings.max_events_per_entity
        self._has_labels = plan.label_column >= 0
        self._arena = self._new_arena(1 << 12)
        self._blocks = np.zeros((1 << 8, 4), np.int64)  # offset, capacity, start, length
        self._free = np.full(_SIZE_CLASSES, -1, np.int64)
        self._counters = np.zeros(len(Counter), np.int64)
        self._index = _new_index(1 << 10 if self._has_labels else 1)
        self._indexed = 0
        self._newest = NEVER
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
        return int(self._counters[Counter.DROPPED])

    @property
    def nbytes(self) -> int:
        arrays = (*self._arena, self._index, self._blocks, self._scratch[1])
        return sum(array.nbytes for array in arrays)

    def update(
        self,
        batch: EventBatch,
        event_hashes: NDArray[np.int64],
        labels: LabelBatch,
        label_hashes: NDArray[np.int64],
        matrix: NDArray[np.float64],
    ) -> None:
        slots = self._find_slots(batch.values(self.plan.entity))
        rows = self._rows(batch)
        if len(batch):
            self._newest = max(self._newest, int(batch.times.max()))
        if self._has_labels:
            self._reserve_index(len(batch) + len(labels))
        else:
            event_hashes, label_hashes = np.zeros(len(batch), np.int64), np.empty(0, np.int64)
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
                event, label, events, known, self._arena, self._blocks, self._free,
                self._counters, self._index, self._kernel_plan,
                (self._keep_ms, self._max_events, self._newest), self._scratch, matrix,
            )  # fmt: skip
            self._indexed += entries
            if event == len(batch) and label == label_hashes.size:
                return
            self._enlarge_arena()

    def _find_slots(self, values: list[Any]) -> NDArray[np.int64]:
        slots = np.fromiter(map(self.slots.__getitem__, values), np.int64, len(values))
        if self.slots.taken > len(self._blocks):
            room = max(2 * len(self._blocks), self.slots.taken)
            blocks = np.zeros((room, 4), np.int64)
            blocks[: len(self._blocks)] = self._blocks
            self._blocks = blocks
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

    def _new_arena(self, places: int) -> _Arena:
        columns = max(1, len(self.plan.columns))
        chunks = -(-places // CHUNK)
        return (
            np.empty(places, np.int64),
            np.empty((columns, places)),
            np.empty(places if self._has_labels else 0, np.int64),
            np.empty((CHUNK_SUMS, columns, chunks), np.int64),
        )

    def _enlarge_arena(self) -> None:
        old = self._arena
        # One block may need twice the largest share, whatever the arena's size.
        used = int(self._counters[Counter.USED])
        arena = self._new_arena(max(2 * old[0].size, used + 4 * self._max_events))
        for target, source in zip(arena, old, strict=True):
            target[..., : source.shape[-1]] = source
        self._arena = arena

    def _reserve_index(self, added: int) -> None:
        if 2 * (self._indexed + added) <= len(self._index):
            return
        oldest = max(NEVER, self._newest - self._keep_ms)
        kept = int(count_kept(self._index, oldest))
        index = _new_index(1 << (4 * (kept + added) - 1).bit_length())
        self._indexed = int(rebuild(self._index, index, oldest, self._newest))
        self._index = index


def _new_index(places: int) -> NDArray[np.int64]:
    index = np.empty((places, 3), np.int64)
    index[:, SLOT] = EMPTY
    return index
