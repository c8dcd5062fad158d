"""The entity stage: the windows of one entity, for the values that one partition keeps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from streams.events.contract import EventContract
from streams.events.record_batch import RecordBatch
from streams.features.dump_format import Buffer
from streams.features.erasures import Erasures
from streams.features.feature_rows import FeatureRows
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.intake.partition_queue import TIME
from streams.intake.position import NO_TIME
from streams.intake.time_merge import AlignmentSettings, MergedRecords, TimeMerge
from streams.intake.time_merge import monotonic_ms as _monotonic_ms
from streams.loop.fused.task import StateMismatchError
from streams.stages.common.consumed_rows import ConsumedRows, QueueKey
from streams.stages.common.messages import MessageError, RowCodec, SourceProgress
from streams.stages.common.split import EntityPart
from streams.stages.common.stateful_stage import StageDump
from streams.stages.common.step import StagePosition, Step
from streams.stages.entity.progress_log import ProgressLog
from streams.stages.entity.stage_records import features_of, read_record
from streams.stages.entity.waiting_rows import WaitingRows, add_rows, new_queue

_AT_ONCE = 10_000
_NEVER_LIVE = int(np.iinfo(np.int64).max)


class EntityStage:
    """Computes one entity's features for the events of one of its topic's partitions.

    A `StatefulStage`: its state is a function of the partition's log, up to what was committed.
    What was answered before goes into the windows only, and what a snapshot holds not even there;
    `ready` says when new answers may be taken.

    Args:
        events, labels: how many partitions the sources have; 0 labels if the part reads none.
        enriched: the topic that the features go to.
        now_ms, steady_ms: see `TimeMerge`.
        erasures: see `FeatureState`.
    """

    def __init__(
        self,
        contract: EventContract,
        *,
        part: EntityPart,
        windows: WindowSettings,
        alignment: AlignmentSettings,
        events: int,
        labels: int,
        enriched: str,
        now_ms: Callable[[], int],
        steady_ms: Callable[[], int] = _monotonic_ms,
        erasures: Erasures | None = None,
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
        self._dumps = StageDump(
            ["entity", part.entity, part.digest], self._sources, part.plan, windows, erasures
        )
        # What was answered waits to be merged however long that takes: no clock, no giving up.
        self._past = TimeMerge(alignment, lambda: _NEVER_LIVE, _tie, lambda: 0)
        self._present = TimeMerge(alignment, now_ms, _tie, steady_ms)
        self.begin(None)

    def begin(
        self, position: StagePosition | None, dumped: Sequence[memoryview] | None = None
    ) -> None:
        """See `StatefulStage`."""
        self._answered = ConsumedRows.of(position)
        self._state = self._dumps.new_windows()
        self._held = ConsumedRows.of(None)
        marks: dict[QueueKey, SourceProgress] = {}
        if dumped is not None:
            held_position, marks, self._state = self._dumps.read(dumped)
            self._held = ConsumedRows.of(held_position)
            if self._held.first > self._answered.first:
                raise StateMismatchError("it is of a later position than the committed one")
        self.settled = self._taking = position
        self.restored = 0
        self.began_at: int | None = None
        self._next = self._held.first
        self._waiting = WaitingRows(self._sources, self._present)
        self._past_queues = {key: new_queue(key) for key in self._sources}
        self._past.set_queues(self._past_queues.values())
        self._marks: dict[QueueKey, SourceProgress] = {}
        self._progress_log = ProgressLog(self._answered.first, marks)
        self.ready = False
        for key, progress in marks.items():
            self._queue(self._held.first, key, [], progress)
        self._look_ready()

    @property
    def next_offset(self) -> int:
        """Where reading goes on."""
        return self._next

    @property
    def waiting(self) -> int:
        """How many rows are queued."""
        return len(self._waiting)

    @property
    def state(self) -> FeatureState:
        """The windows."""
        return self._state

    @property
    def memory_ms(self) -> int:
        """See `StatefulStage`."""
        return self._part.plan.history_ms + self._windows.allowed_lateness

    @property
    def reached(self) -> int:
        """See `StatefulStage`."""
        return max((queue.reached for queue in self._waiting.queues.values()), default=NO_TIME)

    @property
    def oldest(self) -> int | None:
        """Merge time of the first row that is queued, if one is."""
        queues = self._waiting.queues.values()
        return min((int(queue.merge_times[0]) for queue in queues if queue.items), default=None)

    def most_queued(self, is_event: bool) -> int:
        """How many rows of one source of events, or of labels, are queued, where most are."""
        queues = self._waiting.queues.values()
        return max((len(each.items) for each in queues if each.is_event == is_event), default=0)

    @property
    def holds_history(self) -> bool:
        """Whether an event waits that is too old to go on without waiting for silent partitions."""
        oldest = self.oldest
        return oldest is not None and oldest < self._now_ms() - self._live_within

    @property
    def position(self) -> StagePosition:
        """What has to be committed for what was taken so far."""
        return self._waiting.taken(self._next).position

    def feed(self, records: Iterable[tuple[int, bytes | None]]) -> None:
        """Queue records of this partition: ``(offset, value)``, ascending in offset.

        Raises:
            MessageError: one of them can't be read.
        """
        for offset, value in records:
            if offset < self._next:
                continue  # a seek that is still under way can deliver what was read before
            try:
                key, rows, progress = read_record(value, self._codec, self._waiting.queues)
            except MessageError as error:
                raise MessageError(f"offset {offset}: {error}") from error
            if self.began_at is None:
                self.began_at = rows[0].merge_time if rows else progress.reached
            self._progress_log.add(offset, key, progress)
            self._queue(offset, key, rows, progress)
            self._next = offset + 1
            if not self.ready and self._past.waiting >= _AT_ONCE:
                self._absorb()
            self._look_ready()

    def ended(self, next_offset: int, source_ends: Mapping[QueueKey, int] | None = None) -> None:
        """Note that there is nothing more to read for now.

        A source partition then has nothing more either, if its router said so with its last word,
        and `source_ends`, where they are known, agree.
        """
        self._next = max(self._next, next_offset)
        self._look_ready()
        for key, progress in self._marks.items():
            end = progress.next_offset if source_ends is None else source_ends[key]
            if progress.caught_up and progress.next_offset >= end:
                self._waiting.queues[key].caught_up = True

    def take(self, limit: int) -> Step | None:
        """Features of up to `limit` rows that are due, or None if there are none."""
        if not self.ready:
            return None
        merged = self._waiting.take(limit)
        if merged is None:
            return None
        self._state.savepoint()
        features = features_of(
            merged,
            self._update(merged),
            part=self._part,
            sources=self._sources,
            topic=self._enriched,
        )
        self._taking = self.position
        return Step(features, self._taking, rows=len(merged.events) + len(merged.labels))

    def rest(self) -> Step | None:
        """Where reading goes on, if that is news; see `StageTask`."""
        settled_at = self.settled.offset if self.settled is not None else 0
        if not self.ready or self.waiting or self._next <= settled_at:
            return None
        self._state.savepoint()
        self._taking = self.position
        return Step([], self._taking)

    def commit(self) -> None:
        """What was taken last is committed."""
        self._state.commit()
        self._waiting.commit()
        self.settled = self._taking
        if self.settled is not None:
            self._progress_log.move_to(self.settled.offset)

    def rollback(self) -> None:
        """Put back what was taken last: nothing of it was committed."""
        self._state.rollback()
        self._waiting.rollback()

    def dump(self) -> list[Buffer]:
        """See `StatefulStage`."""
        assert self.ready, "the windows are not complete"
        assert self.settled is not None, "nothing is committed"
        return self._dumps.write(self.settled, self._progress_log.before, self._state)

    def _queue(self, offset: int, key: QueueKey, rows: list[Any], progress: SourceProgress) -> None:
        """Leave out what the windows hold, and queue the rest: what was answered, what was not."""
        held = self._held.count(offset, key, rows)
        answered = self._answered.count(offset, key, rows)
        if not self.ready:
            queue = self._past_queues[key]
            add_rows(queue, rows[held:answered], progress)
            # An empty partition would hold up all there is.
            queue.idle = progress.caught_up and queue.reached == NO_TIME
        self._marks[key] = progress
        self._waiting.add(key, offset, rows[answered:], progress)

    def _look_ready(self) -> None:
        if self.ready or self._next < self._answered.read_to:
            return
        for queue in self._past_queues.values():
            queue.idle = True
        self._absorb()
        self.ready = True

    def _absorb(self) -> None:
        """Take into the state what was answered before."""
        while merged := self._past.take(_AT_ONCE):
            self._update(merged)
            self.restored += len(merged.events)

    def _update(self, merged: MergedRecords) -> FeatureRows:
        batch = RecordBatch(
            self._contract, merged.events, merged.numbers[TIME], self._codec.attributes
        )
        labels = LabelBatch(
            [label.event_id for label in merged.labels],
            np.array([label.value for label in merged.labels], np.float64),
            np.asarray(merged.label_before, np.int64),
        )
        return self._state.update(batch, labels)


def _tie(row: Any) -> Any:
    return row.f0 if row.tie is None else row.tie  # the id is the first field
