"""Route: one partition of events or labels, to the places where its entities are kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.contract import EventContract
from streams.dead_letters import Message, dead_letter, headers_of
from streams.decode import Decoded, Decoder
from streams.labels import label_contract, read_progress
from streams.position import NO_TIME
from streams.rejection import Rejected
from streams.stages.messages import LabelRow, Mark, RowCodec, encode_labels
from streams.stages.names import StageTopics, target_partition
from streams.stages.split import StagedPlan
from streams.stages.step import StagePosition, Step, pack, unpack
from streams.transactor import Outgoing

DEAD_LETTER_BYTES = 1_000_000
MARK_EVERY_MS = 1_000
"""Of event time or of the clock: how far a place is left without word of a partition."""

_Place = tuple[str, int]
CountRejected = Callable[[Sequence[Rejected]], None]


def count_nothing(rejected: Sequence[Rejected]) -> None:
    """Nobody counts."""


class _Progress(msgspec.Struct, array_like=True):
    """What a router remembers: the time that was reached, and the last row's tie (event ids)."""

    reached: int = NO_TIME
    tie: int | str | None = None


class _Rows(Protocol):
    """What is to be sent of some input: the encoded records for each target place."""

    def __call__(self, mark: Mark, due: Callable[[_Place], bool]) -> list[Outgoing]: ...


class _Router:
    """What routing events and labels has in common.

    Args:
        partition: the source partition.
        dead_letters: topic of the dead letters.
        now_ms: the wall clock, UTC milliseconds.
        count: told which records were rejected, once that is visible.
    """

    def __init__(
        self,
        contract: EventContract,
        partition: int,
        targets: Sequence[_Place],
        dead_letters: str,
        now_ms: Callable[[], int],
        count: CountRejected,
    ) -> None:
        self.partition = partition
        self._count = count
        self._contract = contract
        self._targets = targets
        self._dead_letters = dead_letters
        self._now_ms = now_ms
        self.begin(None)

    def begin(self, position: StagePosition | None) -> None:
        """Go on where a router of this partition has committed; None for nowhere yet."""
        self._next = position.offset if position is not None else 0
        self._progress = _Progress() if position is None else unpack(position.metadata, _Progress)
        self._told: dict[_Place, tuple[Mark, int]] = {}

    @property
    def next_offset(self) -> int:
        """Where reading goes on."""
        return self._next

    def _marks_due(self, mark: Mark) -> Callable[[_Place], bool]:
        """Which places need word of this mark, whether or not there are rows for them."""
        now = self._now_ms()

        def due(place: _Place) -> bool:
            if place not in self._told:
                return True
            told, at = self._told[place]
            return told != mark and (
                told.caught_up != mark.caught_up
                or mark.reached - told.reached >= MARK_EVERY_MS
                or abs(now - at) >= MARK_EVERY_MS
            )

        return due

    def _note_told(self, places: set[_Place], mark: Mark) -> None:
        now = self._now_ms()
        self._told |= dict.fromkeys(places, (mark, now))

    def _step(
        self, messages: Sequence[Message], end: int | None, bad: list[Rejected], rows: _Rows
    ) -> Step | None:
        if messages:
            self._next = _offset(messages[-1]) + 1
        if end is not None:
            # The end may lie behind markers of transactions, which nobody sees.
            self._next = max(self._next, end)
        mark = Mark(self.partition, self._next, self._progress.reached, end is not None)
        outgoing = rows(mark, self._marks_due(mark))
        self._note_told({(out.topic, place) for out in outgoing for place in out.partitions}, mark)
        if bad:
            outgoing.append(self._letters(messages, bad))
        if not outgoing and not messages:
            return None
        return Step(
            outgoing,
            StagePosition(self._next, pack(self._progress)),
            lambda _: self._count(bad),
        )

    def _letters(self, messages: Sequence[Message], bad: list[Rejected]) -> Outgoing:
        now = self._now_ms()
        letters = [
            dead_letter(messages[each.position], each, now, DEAD_LETTER_BYTES) for each in bad
        ]
        return Outgoing(
            self._dead_letters,
            [letter.value for letter in letters],
            [letter.key for letter in letters],
            [-1] * len(letters),
            [letter.headers for letter in letters],
        )

    def _stamps(self, messages: Sequence[Message]) -> NDArray[np.int64]:
        arrived = np.array([message.timestamp()[1] for message in messages], np.int64)
        arrived[arrived <= 0] = self._now_ms()  # stamped by nobody
        return arrived

    def _turns(self, times: NDArray[np.int64], floors: NDArray[np.int64]) -> NDArray[np.int64]:
        turns: NDArray[np.int64] = np.maximum(
            np.maximum.accumulate(np.maximum(times, floors)), self._progress.reached
        )
        return turns


class EventRouter(_Router):
    """Routes one partition of the events.

    Writes each event, in the order of offsets, to the partition of the same number where it is
    scored, and to the place of each further entity. What is no event goes to the dead letters.

    Args:
        targets: how many partitions the topic of each entity has, by entity.
        decoder: decodes events, where they are not plain JSON.
    """

    def __init__(
        self,
        plan: StagedPlan,
        topics: StageTopics,
        partition: int,
        targets: dict[str, int],
        dead_letters: str,
        now_ms: Callable[[], int],
        count: CountRejected = count_nothing,
        decoder: Decoder | None = None,
    ) -> None:
        contract = plan.whole.contract
        places = [
            (topics.by_entity(part.entity), target)
            for part in plan.parts
            for target in range(targets[part.entity])
        ]
        super().__init__(contract, partition, places, dead_letters, now_ms, count)
        self._decoder = decoder or Decoder(contract)
        self._enriched = topics.enriched
        self._scored = RowCodec(contract, plan.fields, plan.digest)
        self._fields = plan.fields
        self._parts = [
            (
                part,
                topics.by_entity(part.entity),
                targets[part.entity],
                RowCodec(contract, part.fields, part.digest),
            )
            for part in plan.parts
        ]

    def route(self, messages: Sequence[Message], end: int | None = None) -> Step | None:
        """Route what was read.

        Args:
            messages: ascending in offset; none is an error.
            end: the offset at which the partition ended just after them, None if it did not.

        Returns:
            One transaction, or None if there is nothing to tell anybody.

        Raises:
            TryAgainLaterError: a record's schema can't be had yet; nothing has changed.
        """
        arrived = self._stamps(messages)
        decoded = self._decoder.decode([message.value() for message in messages], arrived)
        offsets = np.array([_offset(message) for message in messages], np.int64)
        return self._step(
            messages,
            end,
            decoded.rejected,
            self._rows(decoded, offsets[decoded.positions], arrived[decoded.positions]),
        )

    def _rows(
        self, decoded: Decoded, offsets: NDArray[np.int64], arrived: NDArray[np.int64]
    ) -> _Rows:
        events = decoded.events
        count = len(events)
        turns = self._turns(events.times, events.times)
        ties = self._ties(events.ids, turns)
        common = (
            offsets.tolist(),
            events.times.tolist(),
            arrived.tolist(),
            turns.tolist(),
            [None if tie == own else tie for tie, own in zip(ties, events.ids, strict=True)],
        )
        if count:
            self._progress = _Progress(int(turns[-1]), ties[-1])

        def rows(mark: Mark, due: Callable[[_Place], bool]) -> list[Outgoing]:
            outgoing = []
            if count:
                columns = [events.values(name) for name in self._fields]
                scored = list(map(self._scored.new_row, *common, *columns))
                outgoing.append(
                    _outgoing(self._enriched, [(self.partition, self._scored.encode(scored, mark))])
                )
            for part, topic, targets, codec in self._parts:
                columns = [events.values(name) for name in part.fields]
                by_target: dict[int, list[Any]] = {}
                for row, value in zip(
                    map(codec.new_row, *common, *columns), events.values(part.entity), strict=True
                ):
                    target = target_partition(value, self.partition, targets)
                    by_target.setdefault(target, []).append(row)
                records = [
                    (target, codec.encode(by_target.get(target, []), mark))
                    for target in range(targets)
                    if target in by_target or due((topic, target))
                ]
                if records:
                    outgoing.append(_outgoing(topic, records))
            return outgoing

        return rows

    def _ties(self, ids: list[Any], turns: NDArray[np.int64]) -> list[Any]:
        """What orders each event among those of other partitions with the same turn.

        The merge of `Alignment` takes, of the events at the front of each partition, the one of
        the least id: that is the order of the greatest id so far within a run of equal turns. As
        a property of the row it holds also where only some of the rows are merged.
        """
        ties = list(ids)
        if not ties:
            return ties
        if turns[0] == self._progress.reached and self._progress.tie is not None:
            ties[0] = max(ties[0], self._progress.tie)
        for i in (np.flatnonzero(turns[1:] == turns[:-1]) + 1).tolist():
            ties[i] = max(ties[i], ties[i - 1])
        return ties


class LabelRouter(_Router):
    """Routes one partition of the labels: to every place of every entity that reads labels."""

    def __init__(
        self,
        plan: StagedPlan,
        topics: StageTopics,
        partition: int,
        targets: dict[str, int],
        dead_letters: str,
        now_ms: Callable[[], int],
        count: CountRejected = count_nothing,
    ) -> None:
        places = [
            (topics.by_entity(part.entity), target)
            for part in plan.parts
            if part.plan.reads_labels
            for target in range(targets[part.entity])
        ]
        super().__init__(plan.whole.contract, partition, places, dead_letters, now_ms, count)
        self._decoder = Decoder(label_contract(self._contract))

    def route(self, messages: Sequence[Message], end: int | None = None) -> Step | None:
        """Route what was read; see `EventRouter.route`."""
        arrived = self._stamps(messages)
        offsets = np.array([_offset(message) for message in messages], np.int64)
        marks = np.array(
            [
                _progress(message, stamp + self._contract.max_future)
                for message, stamp in zip(messages, arrived.tolist(), strict=True)
            ],
            np.int64,
        )
        # A label behind the word that all up to some time were sent queues later than that.
        floors = np.maximum.accumulate(np.where(marks == NO_TIME, NO_TIME, marks + 1))
        places = np.flatnonzero(marks == NO_TIME)
        decoded = self._decoder.decode(
            [messages[i].value() for i in places.tolist()], arrived[places]
        )
        bad = [replace(each, position=int(places[each.position])) for each in decoded.rejected]
        kept = places[decoded.positions]
        turns = self._turns(decoded.events.times, floors[kept])
        reached = [self._progress.reached, *turns[-1:].tolist(), *floors[-1:].tolist()]
        self._progress = _Progress(max(reached))
        labels = list(
            map(
                LabelRow,
                offsets[kept].tolist(),
                turns.tolist(),
                decoded.events.ids,
                decoded.events.values("label"),
            )
        )

        def rows(mark: Mark, due: Callable[[_Place], bool]) -> list[Outgoing]:
            records: dict[str, list[tuple[int, list[bytes]]]] = {}
            encoded = encode_labels(labels, mark)
            for topic, target in self._targets:
                if labels or due((topic, target)):
                    records.setdefault(topic, []).append((target, encoded))
            return [_outgoing(topic, each) for topic, each in records.items()]

        return self._step(messages, end, bad, rows)


def _progress(message: Message, latest: int) -> int:
    if message.value() is None:
        time = read_progress(headers_of(message))
        if time is not None:
            return min(time, latest)
    return NO_TIME


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset


def _outgoing(topic: str, records: Sequence[tuple[int, list[bytes]]]) -> Outgoing:
    values = [value for _, encoded in records for value in encoded]
    partitions = [target for target, encoded in records for _ in encoded]
    return Outgoing(topic, values, [None] * len(values), partitions)
