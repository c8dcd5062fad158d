"""What is remembered of each entity, and the feature vectors computed from it."""

from collections.abc import Sequence
from typing import Self

import msgspec
import numpy as np

from streams.events.record_batch import EventBatch, RecordBatch
from streams.features.calendar import calendar_part
from streams.features.declarations import CalendarFeature, FieldFeature
from streams.features.dump_format import (
    Buffer,
    CorruptStateError,
    Reader,
    new_header,
    read_header,
    view,
)
from streams.features.entity_dump import dump_entity, load_entity
from streams.features.entity_state import EntityState
from streams.features.erasures import Erasures
from streams.features.feature_rows import FeatureRows
from streams.features.hashing import Secret
from streams.features.kernels.enums import Counter
from streams.features.label_batch import LabelBatch
from streams.features.limit_warnings import LimitWarnings
from streams.features.plan import FeaturePlan
from streams.features.window_settings import WindowSettings

_TOO_SMALL = "Features that look back on them are too small"


def _is_text(plan: FeaturePlan, field: str) -> bool:
    return plan.contract.fields[field].type == "string"


class FeatureState:
    """Feature windows of all entities.

    One thread at a time. The state after a set of events and labels does not depend on their
    order, as long as no event is later than the allowed lateness.

    Args:
        secret: what its hashes depend on; a new one unless given. No feature depends on it.
        erasures: values of entities that it forgets, of which another thread may hear more.
    """

    def __init__(
        self,
        plan: FeaturePlan,
        settings: WindowSettings | None = None,
        secret: Secret | None = None,
        erasures: Erasures | None = None,
    ) -> None:
        self.plan = plan
        self._erasures = Erasures() if erasures is None else erasures
        self._erased = 0  # up to which of their numbers
        self._secret = secret or Secret.new()
        self._settings = settings or WindowSettings()
        self._entities = [
            EntityState(entity, self._settings, self._secret, texts=_is_text(plan, entity.entity))
            for entity in plan.entities
        ]
        self._savepoints = 0
        self._warnings = LimitWarnings()

    def update(self, batch: EventBatch, labels: LabelBatch | None = None) -> FeatureRows:
        """Take in events one after another, each seeing those before it.

        Args:
            batch: n events in the order in which they count.
            labels: labels that became known before them.

        Returns:
            Their features, and which of them are late or approximate.
        """
        labels = labels or LabelBatch()
        if self._erased != self._erasures.number:
            self._erase()
        matrix = np.empty((len(batch), len(self.plan.names)))
        rows = FeatureRows(matrix, np.zeros(len(batch), np.bool_), np.zeros(len(batch), np.bool_))
        for column, declaration in enumerate(self.plan.declarations):
            if isinstance(declaration, FieldFeature):
                matrix[:, column] = batch.numbers(declaration.field)
            elif isinstance(declaration, CalendarFeature):
                matrix[:, column] = calendar_part(declaration, batch.times)
        if self.plan.reads_labels:
            event_hashes, label_hashes = map(self._secret.hash_ids, (batch.ids, labels.ids))
        else:
            event_hashes = label_hashes = np.empty(0, np.int64)
        for entity in self._entities:
            cuts = self._erasures.of(entity.plan.entity)
            entity.update(batch, event_hashes, labels, label_hashes, rows, cuts)
        for setting, what, forgotten in (
            ("max_entities", "entities", self.ousted_entities),
            ("max_waiting_labels", "labels", self.dropped_labels),
        ):
            most = getattr(self._settings, setting)
            self._warnings.look(f"windows.{setting}", most, what, forgotten, _TOO_SMALL)
        return rows

    def warm_up(self) -> None:
        """Compile all kernels, which takes seconds on a new machine; for an empty state."""
        contract = self.plan.contract
        self.savepoint()
        self.update(RecordBatch(contract, [], np.empty(0, np.int64)))
        for entity in self._entities:
            entity.warm_up()
        self.rollback()
        self.load(self.plan, self._settings, self.dump())

    def savepoint(self) -> None:
        """Record the changes from here on, so that `rollback` can take them back.

        Savepoints stack up: one for each batch that is computed and not yet committed.
        """
        for entity in self._entities:
            entity.savepoint()
        self._savepoints += 1

    def commit(self) -> None:
        """Forget the oldest savepoint: what came after it, up to the next one, stays for good.

        Raises:
            RuntimeError: there is no savepoint.
        """
        if not self._savepoints:
            raise RuntimeError("commit() without a savepoint()")
        for entity in self._entities:
            entity.commit()
        self._savepoints -= 1

    def rollback(self) -> None:
        """Go back to the oldest savepoint and forget all savepoints.

        From then on all answers are as if nothing had been taken in since.

        Raises:
            RuntimeError: there is no savepoint.
        """
        if not self._savepoints:
            raise RuntimeError("rollback() without a savepoint()")
        for entity in self._entities:
            entity.rollback()
        self._savepoints = 0
        self._erased = 0

    @property
    def savepoints(self) -> int:
        """How many savepoints there are."""
        return self._savepoints

    def dump(self) -> list[Buffer]:
        """Return a header, and the memory that is in use, as raw buffers.

        The buffers are views, so they hold this moment only until the next update: write them
        before that, or dump in a forked child. No thread is started.
        """
        header = new_header(self.plan, self._settings)
        header.secret = self._secret.key
        buffers: list[Buffer] = []
        for state in self._entities:
            entity, parts = dump_entity(state)
            header.entities.append(entity)
            buffers.extend(map(view, parts))
        return [msgspec.msgpack.encode(header), *buffers]

    @classmethod
    def load(
        cls,
        plan: FeaturePlan,
        settings: WindowSettings | None,
        buffers: Sequence[Buffer],
        erasures: Erasures | None = None,
    ) -> Self:
        """Return the state that was dumped: whatever it is given, it answers with the same bits.

        Args:
            buffers: what `dump` returned, in the same order. They are copied.
            erasures: as for a new one.

        Raises:
            StateMismatchError: dumped with other features or settings; the message names them.
            CorruptStateError: not what `dump` returned.
        """
        settings = settings or WindowSettings()
        header = read_header(buffers, new_header(plan, settings))
        state = cls(plan, settings, Secret(header.secret), erasures)
        reader = Reader(buffers, header)
        names = [entity.plan.entity for entity in state._entities]
        if [entity.entity for entity in header.entities] != names:
            raise CorruptStateError(f"the dumped state is not of the entities {', '.join(names)}")
        for entity, described in zip(state._entities, header.entities, strict=True):
            load_entity(entity, described, reader)
        return state

    def _erase(self) -> None:
        self._erased = self._erasures.number
        for entity in self._entities:
            entity.erase(self._erasures.of(entity.plan.entity))

    @property
    def entities(self) -> dict[str, int]:
        """How many values of each entity are remembered."""
        return {state.plan.entity: state.slots.taken for state in self._entities}

    @property
    def dropped_events(self) -> dict[str, int]:
        """How many events went into tiles, because an entity had more than its share."""
        return self._counts(Counter.DROPPED)

    @property
    def evicted_entities(self) -> dict[str, int]:
        """How many values of each entity were forgotten, as no window reached them any more."""
        return self._counts(Counter.EVICTED)

    @property
    def ousted_entities(self) -> dict[str, int]:
        """How many values of each entity were forgotten, as there were too many."""
        return self._counts(Counter.OUSTED)

    @property
    def waiting_labels(self) -> dict[str, int]:
        """How many labels wait for their event, of entities with features that read labels."""
        return self._counts(Counter.WAITING, only_labelled=True)

    @property
    def dropped_labels(self) -> dict[str, int]:
        """How many labels were forgotten that waited, as there were too many; as before."""
        return self._counts(Counter.DROPPED_LABELS, only_labelled=True)

    def _counts(self, counter: Counter, *, only_labelled: bool = False) -> dict[str, int]:
        return {
            state.plan.entity: state.count(counter)
            for state in self._entities
            if state.has_labels or not only_labelled
        }

    def newly_matched_labels(self) -> dict[str, int]:
        """How many labels found their event, by entity, since this was last asked.

        Of batches that were committed; of entities with features that read labels.
        """
        found = {}
        for state in self._entities:
            if state.has_labels:
                found[state.plan.entity], state.matched = state.matched, 0
        return found

    @property
    def nbytes(self) -> int:
        """Memory of the windows in bytes; that of the entities' names is an estimate."""
        return sum(state.nbytes for state in self._entities)
