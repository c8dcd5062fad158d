"""What a worker does with one partition, whatever stage it is of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic, perf_counter
from typing import Protocol

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from streams.decode import TryAgainLaterError
from streams.features.feature_rows import FeatureRows
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState
from streams.intake import BadRecord, Work
from streams.rejection import Reason, Rejected
from streams.stages.entity_stage import EntityStage
from streams.stages.joiner import Joined, Joiner
from streams.stages.router import MARK_EVERY_MS, EventRouter, LabelRouter
from streams.stages.step import StagePosition, Step
from streams.task import Answers
from streams.transactor import Committed

_HOLD_S = 0.25

SourceEnds = Callable[[], Mapping[tuple[bool, int], int]]
"""Where the source partitions end: whether of events, and the number, to the offset."""


class StageTask(Protocol):
    """One partition's part of the work; its state is a function of what was committed for it.

    Attributes:
        from_beginning: whether the partition is read from its first record to restore the state,
            and not from the committed offset.
    """

    from_beginning: bool

    def begin(self, position: StagePosition | None) -> None:
        """Forget everything, and go on where this was committed; None for nowhere yet.

        Raises:
            MessageError: it was committed by another program.
        """

    @property
    def next_offset(self) -> int:
        """Of the first record that was not fed."""

    @property
    def waiting(self) -> int:
        """How many records are queued."""

    @property
    def ready(self) -> bool:
        """Whether the state is complete."""

    @property
    def states(self) -> list[FeatureState]:
        """Windows that it keeps."""

    def feed(self, messages: Sequence[Message]) -> None:
        """Queue what was read; one with an error is the partition's present end.

        Raises:
            MessageError: a record between the stages can't be read.
        """

    def take(self, limit: int) -> Step | None:
        """What up to `limit` records come to, or None if nothing is to be said."""


class RouteTask:
    """A partition of events or labels."""

    from_beginning = False
    ready = True
    states: list[FeatureState] = []  # noqa: RUF012

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
        try:
            step = self._router.route(messages, end)
        except TryAgainLaterError as error:
            self._held_until = now + _HOLD_S
            if not error.position:
                return None
            messages = messages[: error.position]
            step = self._router.route(messages)
        del self._read[: len(messages)]
        self._word_at = now + MARK_EVERY_MS / 1_000
        return step


class EntityTask:
    """A partition of one entity's events.

    Args:
        source_ends: asked only where history waits for a partition; see `EntityStage.ended`.
    """

    from_beginning = True

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

    def feed(self, messages: Sequence[Message]) -> None:
        """See `StageTask`."""
        records, end = _records(messages)
        self._stage.feed(records)
        if end is not None:
            ends = self._source_ends() if self._stage.holds_history else None
            self._stage.ended(end, ends)

    def take(self, limit: int) -> Step | None:
        """See `StageTask`."""
        return self._stage.take(limit)


class JoinTask:
    """A partition of events with their features, which are answered here.

    Args:
        topic: of the events.
        answer: answers events by their features; given the seconds spent on these.
        check: answers something known, and raises if nothing can be answered any more.
        refetch: reads a record of the events topic again: partition and offset; None if it has
            expired.
    """

    from_beginning = True
    ready = True

    def __init__(
        self,
        joiner: Joiner,
        answer: Callable[[Work, FeatureRows, float], Answers],
        check: Callable[[], None],
        refetch: Callable[[int, int], Message | None],
    ) -> None:
        self._joiner = joiner
        self._answer = answer
        self._check = check
        self._refetch = refetch
        self._feed_s = 0.0

    def begin(self, position: StagePosition | None) -> None:
        """See `StageTask`."""
        self._joiner.begin(position)

    @property
    def next_offset(self) -> int:
        """See `StageTask`."""
        return self._joiner.next_offset

    @property
    def waiting(self) -> int:
        """See `StageTask`."""
        return self._joiner.waiting

    @property
    def states(self) -> list[FeatureState]:
        """See `StageTask`."""
        return [self._joiner.state] if self._joiner.state is not None else []

    def feed(self, messages: Sequence[Message]) -> None:
        """See `StageTask`."""
        start = perf_counter()
        records, _ = _records(messages)
        self._joiner.feed(records)
        self._feed_s += perf_counter() - start

    def take(self, limit: int) -> Step | None:
        """See `StageTask`."""
        start = perf_counter()
        joined = self._joiner.take(limit)
        if joined is None:
            return None
        feed_s, self._feed_s = self._feed_s, 0.0
        answers = self._answers(joined, feed_s, perf_counter() - start)

        def when_visible(committed: Committed) -> None:
            for each in answers:
                each.when_visible(committed)

        outgoing = [out for each in answers for out in each.outgoing]
        return Step(outgoing, joined.position, when_visible)

    def _answers(self, joined: Joined, feed_s: float, features_s: float) -> list[Answers]:
        """Answer events; of those that can't be answered, only the one to blame is a dead letter.

        Windows hold it nevertheless: it has been taken in before anybody could know.
        """
        try:
            return [self._answer(_work(joined, feed_s), joined.rows, features_s)]
        except Exception as error:
            self._check()
            count = len(joined.events)
            if count == 1:
                return [self._condemn(joined, error)]
            first, second = np.arange(count // 2), np.arange(count // 2, count)
            return [
                *self._answers(_part(joined, first), feed_s, features_s),
                *self._answers(_part(joined, second), 0.0, 0.0),
            ]

    def _condemn(self, joined: Joined, error: Exception) -> Answers:
        message = self._refetch(joined.partition, int(joined.offsets[0]))
        if message is None:
            raise RuntimeError(
                f"event {joined.events.ids[0]!r} can't be answered, and has expired before it "
                "could go to the dead letters"
            ) from error
        nothing = _part(joined, np.empty(0, np.intp))
        rejected = Rejected(0, Reason.FAILED, None, f"{type(error).__name__}: {error}")
        work = _work(nothing, 0.0, [BadRecord(message, rejected)])
        return self._answer(work, nothing.rows, 0.0)


def _records(messages: Sequence[Message]) -> tuple[list[tuple[int, bytes | None]], int | None]:
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


def _work(joined: Joined, decode_s: float, bad: list[BadRecord] | None = None) -> Work:
    return Work(
        events=joined.events,
        partitions=np.full(len(joined.events), joined.partition, np.int64),
        offsets=joined.offsets,
        arrived=joined.arrived,
        labels=LabelBatch(),
        bad=bad or [],
        positions=[],
        decode_s=decode_s,
    )


def _part(joined: Joined, places: NDArray[np.intp]) -> Joined:
    rows = joined.rows
    return replace(
        joined,
        events=joined.events.take(places),
        offsets=joined.offsets[places],
        arrived=joined.arrived[places],
        rows=FeatureRows(rows.matrix[places], rows.late[places], rows.approximate[places]),
    )
