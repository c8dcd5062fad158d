"""The join: events of one partition with all their features, in the order of their offsets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.events.contract import EventContract
from streams.events.record_batch import RecordBatch
from streams.features.dump_format import Buffer
from streams.features.erasures import Erasures
from streams.features.feature_rows import FeatureRows
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.intake.position import NO_TIME
from streams.loop.fused.task import StateMismatchError
from streams.stages.common.messages import (
    EVENTS,
    FEATURES,
    MessageError,
    RowCodec,
    decode_features,
    open_message,
)
from streams.stages.common.split import StagedPlan
from streams.stages.common.stateful_stage import StageDump
from streams.stages.common.step import StagePosition, pack, unpack
from streams.stages.join.waiting_events import TakenEvents, WaitingEvents


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
        self,
        contract: EventContract,
        plan: StagedPlan,
        windows: WindowSettings,
        partition: int,
        erasures: Erasures | None = None,
    ) -> None:
        self._contract = contract
        self._plan = plan
        self._windows = windows
        self.partition = partition
        self._codec = RowCodec(contract, plan.fields, plan.digest)
        self._places = {part.entity: place for place, part in enumerate(plan.parts)}
        local = plan.local
        self.keeps_windows = local is not None and bool(local.entities)
        stage = ["join", str(partition), plan.digest]
        self._dumps = StageDump(stage, [], local, windows, erasures) if local is not None else None
        self.begin(None)

    def begin(
        self, position: StagePosition | None, dumped: Sequence[memoryview] | None = None
    ) -> None:
        """See `StatefulStage`."""
        self._state = self._dumps.new_windows() if self._dumps is not None else None
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
        self._waiting = WaitingEvents(len(self._plan.whole.names), len(self._places))
        self._last: _Taken | None = None

    @property
    def next_offset(self) -> int:
        """Where reading goes on."""
        return self._next

    @property
    def ready(self) -> bool:
        """Whether the windows hold all that was answered."""
        complete = self._updated_to >= self._answered_to or bool(self._waiting)
        return complete or not self.keeps_windows

    @property
    def waiting(self) -> int:
        """How many events are queued."""
        return len(self._waiting)

    @property
    def oldest(self) -> int | None:
        """Merge time of the first event that is queued, if one is."""
        first = self._waiting.first
        return first.merge_time if first is not None else None

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
        first = self._waiting.first_record
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
        if self._waiting or not self.ready or position.offset <= settled_at:
            return None
        self._take(0)
        self._taking = position
        return position

    def take(self, limit: int) -> Joined | None:
        """Up to `limit` events all of whose features have come, or None if there are none."""
        count = self._waiting.complete(limit)
        if not count:
            return None
        rows, offsets, matrix, flags, _ = self._take(count)
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

    def _take(self, count: int) -> TakenEvents:
        """Take events, and keep what `rollback` needs of them."""
        taken = self._waiting.take(count)
        self._last = _Taken(taken, self._released_to)
        if self._state is not None:
            self._state.savepoint()
        return taken

    def commit(self) -> None:
        """What was taken last is committed."""
        if self._state is not None:
            self._state.commit()
        self._last = None
        self.settled = self._taking

    def rollback(self) -> None:
        """Put back what was taken last: nothing of it was committed."""
        assert self._last is not None, "nothing was taken"
        events, self._released_to = self._last
        self._last = None
        if self._state is not None:
            self._state.rollback()
        self._waiting.put_back(events)

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
        self._waiting.add(record, rows[answered:])

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
        new = np.flatnonzero(offsets >= self._released_to)
        offsets = offsets[new]
        missing = self._waiting.missing(offsets)
        if missing.size:
            raise MessageError(
                f"features of the event at offset {missing[0]} arrived, but the event itself did "
                "not"
            )
        self._waiting.fill(place, columns, offsets, rows.take(new))

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


class _Taken(NamedTuple):
    """What was taken last, and where it began."""

    events: TakenEvents
    released_to: int
