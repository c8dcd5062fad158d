"""Route: one partition of events, to the places where their entities are kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.events.json_decoder import Decoded, Decoder
from streams.features.repeat_filter import RepeatFilter
from streams.intake.header_texts import with_header_texts
from streams.kafka.message import Message
from streams.kafka.partition import PartitionId
from streams.stages.common.feature_version import Version
from streams.stages.common.messages import RowCodec, SourceProgress
from streams.stages.common.names import StageTopics, target_partition
from streams.stages.common.split import StagedPlan
from streams.stages.common.step import StagePosition, Step
from streams.stages.route.memory import PartitionMemory
from streams.stages.route.routing import (
    CountRouted,
    Progress,
    Router,
    Rows,
    count_nothing,
    offset_of,
    outgoing_of,
)
from streams.transactions.outcome import Committed, Outgoing


class EventRouter(Router):
    """Routes one partition of the events.

    Writes each event, in the order of offsets, to the partition of the same number where it is
    scored, and to the place of each further entity. What is no event goes to the dead letters.

    Args:
        targets: how many partitions the topic of each entity has, by entity.
        decoder: decodes events, where they are not plain JSON.
        count_repeats: told how many repeats were left out, once that is visible.
        count_forgotten: told how many ids were forgotten for want of room, once that is visible.
    """

    def __init__(
        self,
        plan: StagedPlan,
        topics: StageTopics,
        partition: int,
        targets: dict[str, int],
        dead_letters: str,
        now_ms: Callable[[], int],
        count: CountRouted = count_nothing,
        decoder: Decoder | None = None,
        count_repeats: Callable[[int], None] = lambda _: None,
        count_forgotten: Callable[[int], None] = lambda _: None,
    ) -> None:
        contract = plan.whole.contract
        repeats = RepeatFilter.of(contract)
        self.memory = PartitionMemory(repeats, partition) if repeats is not None else None
        self._count_repeats = count_repeats
        self._count_forgotten = count_forgotten
        places = [
            (topics.by_entity(part.entity), target)
            for part in plan.parts
            for target in range(targets[part.entity])
        ]
        version = Version.of(plan, topics, targets)
        super().__init__(contract, partition, places, dead_letters, now_ms, count, version)
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

    def begin(
        self, position: StagePosition | None, dumped: Sequence[memoryview] | None = None
    ) -> None:
        """See `Router`; what was dumped is that of the `memory`."""
        super().begin(position)
        if self.memory is not None:
            self.memory.begin(self._next, dumped)

    def remember(self, messages: Sequence[Message]) -> None:
        """Take records that were routed before into the memory.

        Raises:
            TryAgainLaterError: as `route`.
        """
        assert self.memory is not None
        decoded, offsets, _ = self._decode(messages)
        self.memory.restore(decoded, offsets, messages)

    def commit(self) -> None:
        """See `Router`."""
        if self.memory is not None:
            self._count_forgotten(self.memory.commit(self._next))

    def rollback(self) -> None:
        """See `Router`."""
        super().rollback()
        if self.memory is not None:
            self.memory.go_back(self._next)

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
        self._remember()
        decoded, offsets, arrived = self._decode(messages)
        before = decoded.positions
        if self.memory is not None:
            decoded = self.memory.new_among(decoded, offsets, messages)
        at = decoded.positions
        events = with_header_texts(self._decoder, decoded.events, messages, at)
        rows = self._rows(replace(decoded, events=events), offsets[at], arrived[at])
        step = self._step(messages, end, decoded.rejected, rows)
        if step is None or self.memory is None:
            return step
        repeats = 0
        if at.size < before.size:  # what is routed again, for other features, was counted before
            repeats = int((offsets[np.setdiff1d(before, at)] >= self._judged_to).sum())

        def when_visible(committed: Committed) -> None:
            step.when_visible(committed)
            self._count_repeats(repeats)

        return replace(step, when_visible=when_visible, rows=before.size)

    def _decode(
        self, messages: Sequence[Message]
    ) -> tuple[Decoded, NDArray[np.int64], NDArray[np.int64]]:
        """What was read, and of each record the offset and when it was stamped."""
        arrived = self._stamps(messages)
        decoded = self._decoder.decode([message.value() for message in messages], arrived)
        return decoded, np.array([offset_of(message) for message in messages], np.int64), arrived

    def _rows(
        self, decoded: Decoded, offsets: NDArray[np.int64], arrived: NDArray[np.int64]
    ) -> Rows:
        events = decoded.events
        count = len(events)
        merge_times = self._merge_times(events.times, events.times)
        ties = self._ties(events.ids, merge_times)
        common = (
            offsets.tolist(),
            events.times.tolist(),
            arrived.tolist(),
            merge_times.tolist(),
            [None if tie == own else tie for tie, own in zip(ties, events.ids, strict=True)],
        )
        if count:
            self._progress = Progress(int(merge_times[-1]), ties[-1])

        def rows(mark: SourceProgress, due: Callable[[PartitionId], bool]) -> list[Outgoing]:
            outgoing = []
            if count:
                columns = [events.values(name) for name in self._fields]
                scored = list(map(self._scored.new_row, *common, *columns))
                outgoing.append(
                    outgoing_of(
                        self._enriched, [(self.partition, self._scored.encode(scored, mark))]
                    )
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
                    outgoing.append(outgoing_of(topic, records))
            return outgoing

        return rows

    def _ties(self, ids: list[Any], merge_times: NDArray[np.int64]) -> list[Any]:
        """What orders each event among those of other partitions with the same merge time.

        The merge of `TimeMerge` takes, of the events at the front of each partition, the one of
        the least id: that is the order of the greatest id so far within a run of equal merge times.
        As a property of the row it holds also where only some of the rows are merged.
        """
        ties = list(ids)
        if not ties:
            return ties
        if merge_times[0] == self._progress.reached and self._progress.tie is not None:
            ties[0] = max(ties[0], self._progress.tie)
        for i in (np.flatnonzero(merge_times[1:] == merge_times[:-1]) + 1).tolist():
            ties[i] = max(ties[i], ties[i - 1])
        return ties
