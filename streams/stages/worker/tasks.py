"""What a worker does with one partition, whatever stage it is of."""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Protocol

from confluent_kafka import Message

from streams.events.json_decoder import TryAgainLaterError
from streams.features.state import FeatureState
from streams.stages.common.stateful_stage import StatefulStage
from streams.stages.common.step import StagePosition, Step
from streams.stages.entity.entity_stage import EntityStage
from streams.stages.route.label_router import LabelRouter
from streams.stages.route.router import EventRouter
from streams.stages.route.routing import MARK_EVERY_MS

_HOLD_S = 0.25

SourceEnds = Callable[[], Mapping[tuple[bool, int], int]]
"""Where the source partitions end: whether of events, and the number, to the offset."""


class StageTask(Protocol):
    """One partition's part of the work; its state is a function of what was committed for it."""

    def begin(self, position: StagePosition | None) -> None:
        """Forget everything, and go on where this was committed; None for nowhere yet.

        Raises:
            MessageError: it was committed by another program.
        """

    @property
    def next_offset(self) -> int:
        """Of the first record that was not fed, behind which it is to be fed."""

    @property
    def waiting(self) -> int:
        """How many records are queued."""

    @property
    def ready(self) -> bool:
        """Whether the state is complete."""

    @property
    def states(self) -> list[FeatureState]:
        """Windows that it keeps."""

    @property
    def stateful(self) -> StatefulStage | None:
        """What keeps windows that have to be restored; None: reading goes on where it ended."""

    def feed(self, messages: Sequence[Message]) -> None:
        """Queue what was read; one with an error is the partition's present end.

        Raises:
            MessageError: a record between the stages can't be read.
        """

    def take(self, limit: int) -> Step | None:
        """What up to `limit` records come to, or None if nothing is to be said.

        To be followed by `release` or `undo` before it is asked again, if it was something.
        """

    def commit(self) -> None:
        """What was taken last is committed."""

    def rollback(self) -> None:
        """Put back what was taken last: nothing of it was committed."""


class RouteTask:
    """A partition of events or labels."""

    stateful = None
    ready = True

    def __init__(
        self, router: EventRouter | LabelRouter, clock: Callable[[], float] = monotonic
    ) -> None:
        self._router = router
        self._clock = clock
        self.begin(None)

    def begin(self, position: StagePosition | None) -> None:
        """See `StageTask`."""
        self._router.begin(position)
        self._read: list[Message] = []
        self._last: list[Message] = []
        self._end: int | None = None
        self._held_until = self._word_at = 0.0

    @property
    def next_offset(self) -> int:
        """See `StageTask`."""
        last = self._read[-1].offset() if self._read else None
        return self._router.next_offset if last is None else last + 1

    @property
    def waiting(self) -> int:
        """See `StageTask`."""
        return len(self._read)

    @property
    def states(self) -> list[FeatureState]:
        """See `StageTask`: it keeps no windows."""
        return []

    def feed(self, messages: Sequence[Message]) -> None:
        """See `StageTask`."""
        next_offset = self.next_offset
        for message in messages:
            offset = message.offset() or 0
            if message.error() is not None:
                self._end, self._word_at = offset, 0.0
            elif offset >= next_offset:  # a seek still under way can deliver what was read before
                self._read.append(message)
                self._end = None

    def take(self, limit: int) -> Step | None:
        """See `StageTask`; at the partition's end, word of it is given from time to time."""
        now = self._clock()
        at_end = self._end is not None and now >= self._word_at
        if now < self._held_until or not (self._read or at_end):
            return None
        messages = self._read[:limit]
        end = self._end if len(messages) == len(self._read) else None
        step = None
        while messages or end is not None:
            try:
                step = self._router.route(messages, end)
                break
            except TryAgainLaterError as error:
                self._held_until = now + _HOLD_S
                messages, end = messages[: error.position], None
        del self._read[: len(messages)]
        self._last = messages
        self._word_at = now + MARK_EVERY_MS / 1_000
        return step

    def commit(self) -> None:
        """See `StageTask`."""
        self._last = []

    def rollback(self) -> None:
        """See `StageTask`."""
        self._router.rollback()
        self._read[:0], self._last = self._last, []
        self._word_at = 0.0


class EntityTask:
    """A partition of one entity's events.

    Args:
        source_ends: asked only where history waits for a partition; see `EntityStage.ended`.
    """

    def __init__(self, stage: EntityStage, source_ends: SourceEnds) -> None:
        self._stage = stage
        self._source_ends = source_ends

    def begin(self, position: StagePosition | None) -> None:
        """See `StageTask`."""
        self._stage.begin(position)

    @property
    def next_offset(self) -> int:
        """See `StageTask`."""
        return self._stage.next_offset

    @property
    def waiting(self) -> int:
        """See `StageTask`."""
        return self._stage.waiting

    @property
    def ready(self) -> bool:
        """See `StageTask`."""
        return self._stage.ready

    @property
    def states(self) -> list[FeatureState]:
        """See `StageTask`."""
        return [self._stage.state]

    @property
    def stateful(self) -> StatefulStage:
        """See `StageTask`."""
        return self._stage

    def feed(self, messages: Sequence[Message]) -> None:
        """See `StageTask`."""
        records, end = records_and_end(messages)
        self._stage.feed(records)
        if end is not None:
            ends = self._source_ends() if self._stage.holds_history else None
            self._stage.ended(end, ends)

    def take(self, limit: int) -> Step | None:
        """See `StageTask`."""
        return self._stage.take(limit)

    def commit(self) -> None:
        """See `StageTask`."""
        self._stage.commit()

    def rollback(self) -> None:
        """See `StageTask`."""
        self._stage.rollback()


def records_and_end(
    messages: Sequence[Message],
) -> tuple[list[tuple[int, bytes | None]], int | None]:
    """Offset and value of each record, and where the partition ends if that comes last."""
    records: list[tuple[int, bytes | None]] = []
    end = None
    for message in messages:
        offset = message.offset() or 0
        if message.error() is None:
            records.append((offset, message.value()))
            end = None
        else:
            end = offset
    return records, end
