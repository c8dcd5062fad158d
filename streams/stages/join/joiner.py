"""The join: events of one partition with all their features, in the order of their offsets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.events.contract import EventContract
from streams.events.record_batch import RecordBatch
from streams.features.dump_format import Buffer
from streams.features.feature_rows import FeatureRows
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.intake.position import NO_TIME
from streams.loop.task import StateMismatchError
from streams.stages.common.messages import (
    EVENTS,
    FEATURES,
    MessageError,
    RowCodec,
    decode_features,
    open_message,
)
from streams.stages.common.record_queue import RecordQueue
from streams.stages.common.split import StagedPlan
from streams.stages.common.stateful_stage import StageDump
from streams.stages.common.step import StagePosition, pack, unpack


@dataclass(frozen=True)
class Joined:
    """Events that are ready to be scored.

    Attributes:
        events: n events of one partition, ascending in offset, with the fields of
            `StagedPlan.fields`.
        offsets, arrived: see `streams.intake.input_batch.Work`, shape (n,).
        rows: their features, in the order of the whole plan.
        position: what to commit with their answers.
    """

    events: RecordBatch
    partition: int
    offsets: NDArray[np.int64]
    arrived: NDArray[np.int64]
    rows: FeatureRows
    position: StagePosition


class Joiner:
    """Joins the events of one partition with the features that the entity stages computed.

    A `StatefulStage`: its state is a function of the partition's log, up to what was committed.
    What was answered before goes into the windows of the key only, and what a snapshot holds not
    even there.

    Attributes:
        keeps_windows: whether any feature reads windows of the key; if none does, nothing has to be
            read again.
    """

    def __init__(
        self, contract: EventContract, plan: StagedPlan, windows: WindowSettings, partition: int
    ) -> None:
        self._contract = contract
        self._plan = plan
        self._windows = windows
        self.partition = partition
        self._codec = RowCodec(contract, plan.fields, plan.digest)
        self._places = {part.entity: place for place, part in enumerate(plan.parts)}
        self._width = len(plan.whole.names)
        local = plan.local
        self.keeps_windows = local is not None and bool(local.entities)
        stage = ["join", str(partition), plan.digest]
        self._dumps = StageDump(stage, [], local, windows) if local is not None else None
        self.begin(None)

    def begin(
        self, position: StagePosition | None, dumped: Sequence[memoryview] | None = None
    ) -> None:
        """See `StatefulStage`."""
        local = self._plan.local
        self._state = FeatureState(local, self._windows) if local is not None else None
        answered_to = answered_before(position)
        committed = position.offset if position is not None else 0
        self._next = 0 if self.keeps_windows else committed
        self._held_to = self._updated_to = 0
        if dumped is not None and self._dumps is not None:
            held, _, self._state = self._dumps.read(dumped)
            self._next = held.offset
            self._held_to = self._updated_to = answered_before(held)
            if held.offset > committed or self._held_to > answered_to:
                raise StateMismatchError("it is of a later position than the committed one")
        self.settled = position
        self.restored = 0
        self.began_at: int | None = None
        self.reached = NO_TIME
        self._answered_to = self._released_to = answered_to
        self._taking = position
        self._records = RecordQueue()
        self._last: _Removed | None = None
        self._rows: list[Any] = []
        self._offsets = np.empty(0, np.int64)
        self._parts = np.empty((0, self._width))
        self._flags = np.empty((0, 2), np.bool_)
        self._filled = np.empty((0, len(self._places)), np.bool_)

    @property
    def next_offset(self) -> int:
        """Where reading goes on."""
        return self._next

    @property
    def ready(self) -> bool:
        """Whether the windows hold all that was answered."""
        complete = self._updated_to >= self._answered_to or bool(self._rows)
        return complete or not self.keeps_windows

    @property
    def waiting(self) -> int:
        """How many events are queued."""
        return len(self._rows)

    @property
    def state(self) -> FeatureState | None:
        """The windows of the key, if any feature reads them."""
        return self._state

    @property
    def memory_ms(self) -> int:
        """See `StatefulStage`."""
        local = self._plan.local
        return local.history_ms + self._windows.allowed_lateness if local is not None else 0

    @property
    def position(self) -> StagePosition:
        """What has to be committed for what was released so far."""
        first = self._records.first
        return StagePosition(self._next if first is None else first, pack(self._released_to))

    def feed(self, records: Iterable[tuple[int, bytes | None]]) -> None:
        """Queue records of this partition: ``(offset, value)``, ascending in offset.

        Raises:
            MessageError: one of them can't be read, or is no answer to an event.
        """
        for offset, value in records:
            if offset < self._next:
                continue  # a seek that is still under way can deliver what was read before
            try:
                kind, body = open_message(value)
                if kind == EVENTS:
                    self._queue(offset, body)
                elif kind == FEATURES:
                    self._fill(body)
                else:
                    raise MessageError(
                        f"unexpected record of kind {kind!r}: see who may write to this topic, "
                        "and set a new stages.prefix"
                    )
            except MessageError as error:
                raise MessageError(f"offset {offset}: {error}") from error
            self._next = offset + 1

    def ended(self, next_offset: int) -> None:
        """Note that there is nothing more to read for now."""
        self._next = max(self._next, next_offset)

    def rest(self) -> StagePosition | None:
        """What to commit if nothing waits and that is news; see `StageTask`."""
        position = self.position
        settled_at = self.settled.offset if self.settled is not None else 0
        if self._rows or not self.ready or position.offset <= settled_at:
            return None
        self._remember([], self._offsets[:0], self._parts[:0], self._flags[:0])
        self._taking = position
        return position

    def take(self, limit: int) -> Joined | None:
        """Up to `limit` events all of whose features have come, or None if there are none."""
        lacking = np.flatnonzero(~self._filled[:limit].all(axis=1))
        count = int(lacking[0]) if lacking.size else min(limit, len(self._rows))
        if not count:
            return None
        rows, self._rows = self._rows[:count], self._rows[count:]
        offsets, matrix, flags = self._offsets[:count], self._parts[:count], self._flags[:count]
        self._offsets, self._parts = self._offsets[count:], self._parts[count:]
        self._flags, self._filled = self._flags[count:], self._filled[count:]
        self._remember(rows, offsets, matrix, flags)
        self._released_to = self._updated_to = int(offsets[-1]) + 1
        events, local = self._update(rows)
        matrix[:, self._plan.local_columns] = local.matrix
        self._taking = self.position
        return Joined(
            events,
            self.partition,
            offsets,
            np.array([row.arrived for row in rows], np.int64),
            FeatureRows(matrix, flags[:, 0] | local.late, flags[:, 1] | local.approximate),
            self.position,
        )

    def _remember(
        self,
        rows: list[Any],
        offsets: NDArray[np.int64],
        parts: NDArray[np.float64],
        flags: NDArray[np.bool_],
    ) -> None:
        """Keep what `undo` needs of what is taken now."""
        records = self._records.take(len(rows))
        self._last = _Removed(rows, offsets, parts, flags, records, self._released_to)
        if self._state is not None:
            self._state.savepoint()

    def commit(self) -> None:
        """What was taken last is committed."""
        if self._state is not None:
            self._state.commit()
        self._last = None
        self.settled = self._taking

    def rollback(self) -> None:
        """Put back what was taken last: nothing of it was committed."""
        assert self._last is not None, "nothing was taken"
        rows, offsets, parts, flags, records, self._released_to = self._last
        self._last = None
        if self._state is not None:
            self._state.rollback()
        self._rows = rows + self._rows
        self._offsets = np.concatenate([offsets, self._offsets])
        self._parts = np.concatenate([parts, self._parts])
        self._flags = np.concatenate([flags, self._flags])
        filled = np.ones((len(rows), len(self._places)), np.bool_)
        self._filled = np.concatenate([filled, self._filled])
        self._records.put_back(records)

    def dump(self) -> list[Buffer]:
        """See `StatefulStage`."""
        assert self._dumps is not None, "there are no windows"
        assert self._state is not None, "there are no windows"
        assert self.ready, "the windows are not complete"
        assert self.settled is not None, "nothing is committed"
        return self._dumps.write(self.settled, {}, self._state)

    def _queue(self, record: int, body: bytes) -> None:
        progress, rows = self._codec.decode(body)
        if progress.partition != self.partition:
            raise MessageError(
                f"unexpected event of partition {progress.partition}, expected {self.partition}: "
                "see who may write to this topic, and set a new stages.prefix"
            )
        if rows and self.began_at is None:
            self.began_at = rows[0].merge_time
        self.reached = max(self.reached, progress.reached)
        held = sum(row.offset < self._held_to for row in rows)
        answered = sum(row.offset < self._answered_to for row in rows)
        if self.keeps_windows and answered > held:
            self._update(rows[held:answered])
            self._updated_to = rows[answered - 1].offset + 1
            self.restored += answered - held
        rows = rows[answered:]
        count = len(rows)
        if not count:
            return
        self._records.add(record, count)
        self._rows += rows
        self._offsets = np.append(self._offsets, [row.offset for row in rows])
        self._parts = np.concatenate([self._parts, np.full((count, self._width), np.nan)])
        self._flags = np.concatenate([self._flags, np.zeros((count, 2), np.bool_)])
        empty = np.zeros((count, len(self._places)), np.bool_)
        self._filled = np.concatenate([self._filled, empty])

    def _fill(self, body: bytes) -> None:
        message = decode_features(body)
        place = self._places.get(message.entity)
        if place is None or message.digest != self._plan.parts[place].digest:
            raise MessageError(
                f"the record holds other features of {message.entity!r} than are declared: after "
                "a change of [[features]] set a new stages.prefix"
            )
        offsets, rows = message.source_offsets, message.rows()
        columns = self._plan.parts[place].columns
        if rows.matrix.shape[1] != columns.size or message.partition != self.partition:
            raise MessageError("the record holds features of another shape or partition")
        new = offsets >= self._released_to
        offsets = offsets[new]
        missing = offsets[~np.isin(offsets, self._offsets)]
        if missing.size:
            raise MessageError(
                f"features of the event at offset {missing[0]} arrived, but the event itself did "
                "not"
            )
        at = np.searchsorted(self._offsets, offsets)
        self._parts[np.ix_(at, columns)] = rows.matrix[new]
        self._flags[at] |= np.stack([rows.late[new], rows.approximate[new]], axis=1)
        self._filled[at, place] = True

    def _update(self, rows: list[Any]) -> tuple[RecordBatch, FeatureRows]:
        times = np.array([row.time for row in rows], np.int64)
        batch = RecordBatch(self._contract, rows, times, self._codec.attributes)
        if self._state is None:
            nothing = np.zeros((2, len(rows)), np.bool_)
            return batch, FeatureRows(np.empty((len(rows), 0)), nothing[0], nothing[1])
        return batch, self._state.update(batch)


def answered_before(position: StagePosition | None) -> int:
    """The source offset before which all was answered.

    Raises:
        MessageError: the metadata is not of this stage.
    """
    return unpack(position.metadata, int) if position is not None else 0


def answering_from(source_offset: int) -> StagePosition:
    """What a join begins with whose topic is new, and of which some was answered elsewhere."""
    return StagePosition(0, pack(source_offset))


class _Removed(NamedTuple):
    """Events that were taken, all that was known of them, and where they began."""

    rows: list[Any]
    offsets: NDArray[np.int64]
    parts: NDArray[np.float64]
    flags: NDArray[np.bool_]
    records: list[tuple[int, int]]
    released_to: int
