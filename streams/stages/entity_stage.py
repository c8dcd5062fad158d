"""The entity stage: the windows of one entity, for the values that one partition keeps."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.alignment import Alignment, AlignmentSettings, Turn
from streams.alignment import monotonic_ms as _monotonic_ms
from streams.contract import EventContract
from streams.events import RecordBatch
from streams.features.feature_rows import FeatureRows
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.lane import ARRIVED, OFFSET, TIME, Lane
from streams.position import NO_TIME
from streams.stages.messages import (
    EVENTS,
    LABELS,
    Mark,
    MessageError,
    RowCodec,
    decode_labels,
    encode_features,
    open_message,
)
from streams.stages.record_queue import RecordQueue
from streams.stages.split import EntityPart
from streams.stages.step import StagePosition, Step, pack, unpack
from streams.transactor import Outgoing

_AT_ONCE = 10_000
_NEVER_LIVE = int(np.iinfo(np.int64).max)

_LaneKey = tuple[bool, int]
"""Whether its rows are events, and the source partition."""


class _Taken(msgspec.Struct, array_like=True):
    """What was taken of the records from the committed offset on.

    Attributes:
        read_to: behind the last record that was read, counted from the committed offset.
        lanes: for each lane (2 x partition, and 1 more for labels) with rows that wait, the
            source offset before which all was taken.
    """

    read_to: int
    lanes: dict[int, int]


class EntityStage:
    """Computes one entity's features for the events of one of its topic's partitions.

    Its state is a function of the partition's log, up to what was committed: to restore it, call
    `begin` and feed the log from its beginning. What was answered before goes into the state
    only; `ready` says when new answers may be taken.

    Args:
        events, labels: how many partitions the sources have; 0 labels if the part reads none.
        enriched: the topic that the features go to.
        now_ms, steady_ms: see `Alignment`.
    """

    def __init__(
        self,
        contract: EventContract,
        part: EntityPart,
        windows: WindowSettings,
        alignment: AlignmentSettings,
        events: int,
        labels: int,
        enriched: str,
        now_ms: Callable[[], int],
        steady_ms: Callable[[], int] = _monotonic_ms,
    ) -> None:
        self._contract = contract
        self._part = part
        self._windows = windows
        self._codec = RowCodec(contract, part.fields, part.digest)
        self._enriched = enriched
        self._now_ms = now_ms
        self._live_within = alignment.live_within
        self._sources = [(True, each) for each in range(events)]
        if part.plan.reads_labels:
            self._sources += [(False, each) for each in range(labels)]
        # What was answered waits for its turn however long that takes: no clock, no giving up.
        self._past = Alignment(alignment, lambda: _NEVER_LIVE, _tie, lambda: 0)
        self._present = Alignment(alignment, now_ms, _tie, steady_ms)
        self.begin(None)

    def begin(self, position: StagePosition | None) -> None:
        """Forget everything; the log is to be fed from its beginning.

        Raises:
            MessageError: the metadata is not of this stage.
        """
        self._state = FeatureState(self._part.plan, self._windows)
        self._committed = position.offset if position is not None else 0
        taken = unpack(position.metadata, _Taken) if position is not None else _Taken(0, {})
        self._read_to = self._committed + taken.read_to
        self._taken = {(not key % 2, key // 2): offset for key, offset in taken.lanes.items()}
        self._next = 0
        self._lanes = {key: _lane(key) for key in self._sources}
        self._past_lanes = {key: _lane(key) for key in self._sources}
        self._marks: dict[_LaneKey, Mark] = {}
        self._records = {key: RecordQueue() for key in self._sources}
        self._last: list[_Removed] = []
        self._present.set_lanes(self._lanes.values())
        self._past.set_lanes(self._past_lanes.values())
        self.ready = False
        self._look_ready()

    @property
    def next_offset(self) -> int:
        """Where reading goes on."""
        return self._next

    @property
    def waiting(self) -> int:
        """How many rows are queued."""
        return self._present.waiting

    @property
    def state(self) -> FeatureState:
        """The windows."""
        return self._state

    @property
    def holds_history(self) -> bool:
        """Whether an event waits that is too old to go on without waiting for silent partitions."""
        turns = [int(lane.turns[0]) for lane in self._lanes.values() if lane.items]
        return min(turns, default=_NEVER_LIVE) < self._now_ms() - self._live_within

    @property
    def position(self) -> StagePosition:
        """What has to be committed for what was taken so far."""
        waiting = {key: lane.position for key, lane in self._lanes.items() if lane.items}
        firsts = [self._records[key].first for key in waiting]
        first = min((offset for offset in firsts if offset is not None), default=self._next)
        lanes = {2 * number + (not event): offset for (event, number), offset in waiting.items()}
        return StagePosition(first, pack(_Taken(self._next - first, lanes)))

    def feed(self, records: Iterable[tuple[int, bytes | None]]) -> None:
        """Queue records of this partition: ``(offset, value)``, ascending in offset.

        Raises:
            MessageError: one of them can't be read.
        """
        for offset, value in records:
            if offset < self._next:
                continue  # a seek that is still under way can deliver what was read before
            try:
                self._queue(offset, value)
            except MessageError as error:
                raise MessageError(f"offset {offset}: {error}") from error
            self._next = offset + 1
            if not self.ready and self._past.waiting >= _AT_ONCE:
                self._absorb()
            self._look_ready()

    def ended(self, next_offset: int, source_ends: Mapping[_LaneKey, int] | None = None) -> None:
        """Note that there is nothing more to read for now.

        A source partition then has nothing more either, if its router said so with its last word,
        and `source_ends`, where they are known, agree.
        """
        self._next = max(self._next, next_offset)
        self._look_ready()
        for key, mark in self._marks.items():
            end = mark.next_offset if source_ends is None else source_ends[key]
            if mark.caught_up and mark.next_offset >= end:
                self._lanes[key].caught_up = True

    def take(self, limit: int) -> Step | None:
        """Features of up to `limit` rows whose turn has come, or None if there are none."""
        if not self.ready:
            return None
        before = {key: _Waiting.of(lane, limit) for key, lane in self._lanes.items()}
        turn = self._present.take(limit)
        if turn is None:
            return None
        self._state.mark()
        for key, waiting in before.items():
            taken = waiting.total - len(self._lanes[key].items)
            self._last.append(_Removed(key, waiting, taken, self._records[key].take(taken)))
        return Step(self._answers(turn, self._update(turn)), self.position)

    def release(self) -> None:
        """What was taken last is committed."""
        self._state.release()
        self._last = []

    def undo(self) -> None:
        """Put back what was taken last: nothing of it was committed."""
        self._state.undo()
        for key, waiting, taken, records in self._last:
            self._lanes[key].put_back(
                waiting.items[:taken], waiting.numbers[:, :taken], waiting.turns[:taken]
            )
            self._records[key].put_back(records)
        self._last = []

    def _queue(self, offset: int, value: bytes | None) -> None:
        kind, body = open_message(value)
        mark: Mark
        rows: list[Any]
        if kind == EVENTS:
            mark, rows = self._codec.decode(body)
        elif kind == LABELS:
            mark, rows = decode_labels(body)
        else:
            raise MessageError(f"a record of kind {kind!r} has no business here")
        key = (kind == EVENTS, mark.partition)
        if key not in self._lanes:
            raise MessageError(
                f"the record is of partition {mark.partition}, which its source did not have when "
                "this process started: restart it"
            )
        # Answered is all before the committed record, and of what was read behind it all that lies
        # before the first row of its lane that waited.
        answered = len(rows)
        if offset >= self._read_to:
            answered = 0
        elif offset >= self._committed and key in self._taken:
            answered = sum(row.offset < self._taken[key] for row in rows)
        if not self.ready:
            _add(self._past_lanes[key], rows[:answered], mark)
            lane = self._past_lanes[key]
            # An empty partition would hold up all there is.
            lane.idle = mark.caught_up and lane.reached == NO_TIME
        self._marks[key] = mark
        _add(self._lanes[key], rows[answered:], mark)
        self._records[key].add(offset, len(rows) - answered)

    def _look_ready(self) -> None:
        if self.ready or self._next < self._read_to:
            return
        for lane in self._past_lanes.values():
            lane.idle = True
        self._absorb()
        self.ready = True

    def _absorb(self) -> None:
        """Take into the state what was answered before."""
        while turn := self._past.take(_AT_ONCE):
            self._update(turn)

    def _update(self, turn: Turn) -> FeatureRows:
        batch = RecordBatch(self._contract, turn.events, turn.numbers[TIME], self._codec.attributes)
        labels = LabelBatch(
            [label.event_id for label in turn.labels],
            np.array([label.value for label in turn.labels], np.float64),
            np.asarray(turn.label_before, np.int64),
        )
        return self._state.update(batch, labels)

    def _answers(self, turn: Turn, rows: FeatureRows) -> list[Outgoing]:
        lanes = list(self._lanes)
        values, partitions = [], []
        for lane in np.unique(turn.lanes).tolist():
            places = np.flatnonzero(turn.lanes == lane)
            _, partition = lanes[lane]
            encoded = encode_features(
                self._part.entity,
                self._part.digest,
                partition,
                turn.numbers[OFFSET][places],
                rows.take(places),
            )
            values += encoded
            partitions += [partition] * len(encoded)
        if not values:
            return []
        return [Outgoing(self._enriched, values, [None] * len(values), partitions)]


class _Waiting(NamedTuple):
    """What stood at the front of a lane, and how much in all."""

    items: list[Any]
    numbers: NDArray[np.int64]
    turns: NDArray[np.int64]
    total: int

    @classmethod
    def of(cls, lane: Lane, limit: int) -> Self:
        return cls(lane.items[:limit], lane.numbers[:, :limit], lane.turns[:limit], len(lane.items))


class _Removed(NamedTuple):
    """What was taken of a lane: the first of those that waited."""

    lane: _LaneKey
    waiting: _Waiting
    taken: int
    records: list[tuple[int, int]]


def _lane(key: _LaneKey) -> Lane:
    is_event, partition = key
    return Lane("events" if is_event else "labels", partition, is_event, 0)


def _add(lane: Lane, rows: list[Any], mark: Mark) -> None:
    """Queue rows by the turns that their router gave them, and note how far it has come."""
    numbers = np.empty((3, len(rows)), np.int64)
    numbers[OFFSET] = [row.offset for row in rows]
    turns = np.array([row.turn for row in rows], np.int64)
    if lane.is_event:
        numbers[TIME] = [row.time for row in rows]
        numbers[ARRIVED] = [row.arrived for row in rows]
    else:
        numbers[TIME], numbers[ARRIVED] = turns, 0
    lane.add(rows, numbers, mark.next_offset, turns)
    if mark.reached != NO_TIME:
        lane.completed_to(mark.reached - 1)


def _tie(row: Any) -> Any:
    return row.f0 if row.tie is None else row.tie  # the id is the first field
