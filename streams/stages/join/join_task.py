"""What a worker does with a partition of events whose features have come: it answers them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from streams.events.rejection import Reason, Rejected
from streams.features.feature_rows import FeatureRows
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState
from streams.intake.input_batch import BadRecord, InputBatch
from streams.loop.fused.task import Answers
from streams.stages.common.stateful_stage import StatefulStage
from streams.stages.common.step import StagePosition, Step
from streams.stages.common.task import records_and_end
from streams.stages.join.joiner import Joined, Joiner
from streams.transactions.outcome import Committed


class JoinTask:
    """A partition of events with their features, which are answered here.

    Args:
        answer: answers events by their features; given the seconds spent on these.
        check: answers something known, and raises if nothing can be answered any more.
        refetch: reads a record of the events topic again: partition and offset; None if it has
            expired.
    """

    stage: str | None = None

    def __init__(
        self,
        joiner: Joiner,
        answer: Callable[[InputBatch, FeatureRows, float], Answers],
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
    def oldest(self) -> int | None:
        """See `StageTask`."""
        return self._joiner.oldest

    def most_queued(self, is_event: bool) -> int:
        """See `StageTask`."""
        return self._joiner.waiting if is_event else 0

    @property
    def ready(self) -> bool:
        """See `StageTask`."""
        return self._joiner.ready

    @property
    def stateful(self) -> StatefulStage | None:
        """See `StageTask`."""
        return self._joiner if self._joiner.keeps_windows else None

    @property
    def states(self) -> list[FeatureState]:
        """See `StageTask`."""
        return [self._joiner.state] if self._joiner.state is not None else []

    @property
    def nbytes(self) -> int:
        """See `StageTask`."""
        return sum(state.nbytes for state in self.states)

    def feed(self, messages: Sequence[Message]) -> None:
        """See `StageTask`."""
        start = perf_counter()
        records, end = records_and_end(messages)
        self._joiner.feed(records)
        if end is not None:
            self._joiner.ended(end)
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
        return Step(outgoing, joined.position, when_visible, len(joined.events))

    def rest(self) -> Step | None:
        """See `StageTask`."""
        position = self._joiner.rest()
        return Step([], position) if position is not None else None

    def commit(self) -> None:
        """See `StageTask`."""
        self._joiner.commit()

    def rollback(self) -> None:
        """See `StageTask`."""
        self._joiner.rollback()

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


def _work(joined: Joined, decode_s: float, bad: list[BadRecord] | None = None) -> InputBatch:
    return InputBatch(
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
    return replace(
        joined,
        events=joined.events.take(places),
        offsets=joined.offsets[places],
        arrived=joined.arrived[places],
        rows=joined.rows.take(places),
    )
