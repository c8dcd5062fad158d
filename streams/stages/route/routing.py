"""What routing events and routing labels have in common."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.dead_letters.writer import dead_letters_of
from streams.events.contract import EventContract
from streams.events.rejection import Rejected
from streams.intake.position import NO_TIME
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.message import Message
from streams.kafka.partition import PartitionId
from streams.stages.common.feature_version import Version
from streams.stages.common.messages import MessageError, SourceProgress
from streams.stages.common.step import StagePosition, Step, pack, unpack
from streams.transactions.outcome import Outgoing

MARK_EVERY_MS = 1_000
"""Of event time or of the clock: how far a place is left without word of a partition."""

LONGEST_TIE = 200
"""How much of an event's id is remembered beside an offset, which has little room."""

CountRouted = Callable[[Sequence[Rejected], int], None]


def count_nothing(rejected: Sequence[Rejected], labels: int) -> None:
    """Nobody counts."""


class Progress(msgspec.Struct, array_like=True):
    """What a router remembers: the time that was reached, and the last row's tie (event ids)."""

    reached: int = NO_TIME
    tie: int | str | None = None


class Routed(msgspec.Struct, array_like=True):
    """What a router commits beside its offset.

    Attributes:
        version: which features its records were made for.
        again_from: if what lies before the offset is routed again, for these features, how far
            that is; its dead letters have been written.
    """

    progress: Progress
    version: Version
    again_from: int | None = None


class Rows(Protocol):
    """What is to be sent of some input."""

    def __call__(self, mark: SourceProgress, due: Callable[[PartitionId], bool]) -> list[Outgoing]:
        """The encoded records for each target place."""


class Router:
    """Routes one partition.

    Args:
        partition: the source partition.
        dead_letters: topic of the dead letters.
        now_ms: the wall clock, UTC milliseconds.
        count: told which records were rejected, and how many labels were taken in, once that is
            visible.
        version: which features it routes for.
    """

    def __init__(
        self,
        contract: EventContract,
        partition: int,
        targets: Sequence[PartitionId],
        dead_letters: str,
        now_ms: Callable[[], int],
        count: CountRouted,
        version: Version,
    ) -> None:
        self.partition = partition
        self._count = count
        self._contract = contract
        self._targets = targets
        self._dead_letters = dead_letters
        self._now_ms = now_ms
        self._version = version
        self.begin(None)

    def begin(self, position: StagePosition | None) -> None:
        """Go on where a router of this partition has committed; None for nowhere yet.

        Raises:
            MessageError: it was committed by another program, or for other features.
        """
        self._next = self._judged_to = 0
        self._progress = Progress()
        if position is not None:
            routed = unpack(position.metadata, Routed)
            if routed.version != self._version:
                raise MessageError(
                    "the group has gone on with other features, or another stages.prefix "
                    f"({routed.version.prefix!r}), than this worker was started with: start it "
                    "again with the settings of the others"
                )
            again_from, self._judged_to = routed.again_from, position.offset
            self._next = position.offset if again_from is None else again_from
            self._progress = routed.progress
        self._told: dict[PartitionId, tuple[SourceProgress, int]] = {}
        self._said = position.offset if position is not None else 0
        self._remember()

    def _remember(self) -> None:
        self._before = self._next, self._progress, self._told, self._said

    def commit(self) -> None:
        """What was routed last is committed."""

    def rollback(self) -> None:
        """Forget what was routed last: nothing of it was committed."""
        self._next, self._progress, self._told, self._said = self._before

    def rest(self) -> Step | None:
        """Where reading goes on, if that is news; see `StageTask`."""
        if self._next <= self._said:
            return None
        self._remember()
        return Step([], self._position())

    def tell_all_again(self) -> None:
        """The next step says to every place how far this partition has come."""
        self._told = {}

    @property
    def next_offset(self) -> int:
        """Where reading goes on."""
        return self._next

    @property
    def reached(self) -> int:
        """The event time (ms) before which no later row queues; `NO_TIME` before the first."""
        return self._progress.reached

    def _marks_due(self, mark: SourceProgress) -> Callable[[PartitionId], bool]:
        """Which places need word of this mark, whether or not there are rows for them."""
        now = self._now_ms()

        def due(place: PartitionId) -> bool:
            if place not in self._told:
                return True
            told, at = self._told[place]
            return told != mark and (
                told.caught_up != mark.caught_up
                or mark.reached - told.reached >= MARK_EVERY_MS
                or abs(now - at) >= MARK_EVERY_MS
            )

        return due

    def _note_told(self, places: set[PartitionId], mark: SourceProgress) -> None:
        self._told = self._told | dict.fromkeys(places, (mark, self._now_ms()))

    def _step(
        self,
        messages: Sequence[Message],
        end: int | None,
        bad: list[Rejected],
        rows: Rows,
        labels: int = 0,
    ) -> Step | None:
        if messages:
            self._next = offset_of(messages[-1]) + 1
        if end is not None:
            # The end may lie behind markers of transactions, which nobody sees.
            self._next = max(self._next, end)
        mark = SourceProgress(self.partition, self._next, self._progress.reached, end is not None)
        outgoing = rows(mark, self._marks_due(mark))
        self._note_told({(out.topic, place) for out in outgoing for place in out.partitions}, mark)
        bad = [
            each
            for each in bad
            if offset_of(messages[each.position]) >= self._judged_to
            and not isinstance(messages[each.position], BadBatch)  # the loop has them
        ]
        if bad:
            rejected = [(messages[each.position], each) for each in bad]
            outgoing.append(dead_letters_of(self._dead_letters, rejected, self._now_ms()))
        if not outgoing and not messages:
            return None
        return Step(outgoing, self._position(), lambda _: self._count(bad, labels))

    def _position(self) -> StagePosition:
        again_from = self._next if self._next < self._judged_to else None
        reached, tie = self._progress.reached, self._progress.tie
        progress = Progress(reached, tie[:LONGEST_TIE] if isinstance(tie, str) else tie)
        routed = Routed(progress, self._version, again_from)
        self._said = max(self._next, self._judged_to)
        return StagePosition(self._said, pack(routed))

    def _stamps(self, messages: Sequence[Message]) -> NDArray[np.int64]:
        arrived = np.array([message.timestamp()[1] for message in messages], np.int64)
        arrived[arrived <= 0] = self._now_ms()  # stamped by nobody
        return arrived

    def _merge_times(
        self, times: NDArray[np.int64], floors: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        merge_times: NDArray[np.int64] = np.maximum(
            np.maximum.accumulate(np.maximum(times, floors)), self._progress.reached
        )
        return merge_times


def offset_of(message: Message) -> int:
    """Where a consumed record stood."""
    offset = message.offset()
    assert offset is not None
    return offset


def outgoing_of(topic: str, records: Sequence[tuple[int, list[bytes]]]) -> Outgoing:
    """Records for partitions of one topic."""
    values = [value for _, encoded in records for value in encoded]
    partitions = [target for target, encoded in records for _ in encoded]
    return Outgoing(topic, values, [None] * len(values), partitions)
