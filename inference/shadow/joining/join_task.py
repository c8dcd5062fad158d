"""From shadow scores, and the labels beside them, to evidence: the task of a `StatelessLoop`."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from time import monotonic

import msgspec
from confluent_kafka import Message

from inference.control.commands import CommandError
from inference.shadow.comparison.terms import Terms
from inference.shadow.joining.label_feed import LabelFeed
from inference.shadow.joining.metrics import JoinMetrics
from inference.shadow.joining.partition_join import PartitionJoin
from inference.shadow.shadow_book import check_name
from inference.shadow.shadow_record import ShadowScore
from inference.shadow.statistics.moments import STEP
from streams.events.rejection import Reason, Rejected
from streams.loop.stateless.keyed_state import KeyedState, PartitionState
from streams.loop.stateless.loop import Processed

_PATIENCE_S = 60.0
"""So long after the first score, partitions of the events without any are waited for."""


class JoinTask:
    """Changes the state of partitions of ours, and writes nothing else.

    Args:
        partitions: how many the topic of shadow scores has, at this moment.
        sources: how many the topic of the feature log has, where events come from.
    """

    def __init__(
        self,
        state: KeyedState,
        labels: LabelFeed,
        terms: Terms,
        *,
        partitions: Callable[[], int],
        sources: Callable[[], int],
        metrics: JoinMetrics,
    ) -> None:
        self._state = state
        self._labels = labels
        self._terms = terms
        self._partitions = partitions
        self._sources = sources
        self._first_at: float | None = None
        self._metrics = metrics
        self._decode = msgspec.json.Decoder(ShadowScore).decode
        self._joins: dict[int, tuple[PartitionState, int, int, PartitionJoin]] = {}

    def __call__(self, messages: Sequence[Message]) -> Processed:
        """Take in some shadow scores, and judge what is mature by now."""
        scores: dict[int, list[ShadowScore]] = defaultdict(list)
        bad: list[tuple[Message, Rejected]] = []
        for index, message in enumerate(messages):
            try:
                score = self._decode(message.value() or b"")
                if not STEP <= score.kept <= 1:
                    raise ValueError(f"kept = {score.kept} is no share")
                for name in score.candidates:
                    check_name(name)  # keys of the state are made of it
            except (ValueError, RecursionError, CommandError) as error:
                why = f"no shadow score as Weir writes it: {error}"
                bad.append((message, Rejected(index, Reason.BAD_BODY, None, why)))
            else:
                scores[message.partition() or 0].append(score)
        joins = self._of_ours()
        for partition, each in scores.items():
            joins[partition].arrive(each)
        return self._judged(joins, bad)

    def at_rest(self) -> Processed:
        """Judge what is mature by now: labels may be complete further on."""
        joins = {
            partition: join
            for partition, join in self._of_ours().items()
            if join.progress.watermark is not None
        }
        return self._judged(joins, [])

    def _judged(
        self, joins: dict[int, PartitionJoin], bad: list[tuple[Message, Rejected]]
    ) -> Processed:
        if joins and self._labels.hear(joins):
            for each in joins.values():
                if self._all_heard_of(each):
                    each.mature()
        for each in joins.values():
            each.write()
        return Processed([], bad, lambda: self._metrics.show(joins.values()))

    def _all_heard_of(self, join: PartitionJoin) -> bool:
        """Whether each partition of the events has come, or has had its time to.

        In a backlog, days of one may be here before the first event of another, which would be too
        late then. One without any events must not hold back the others for ever.
        """
        if len(join.progress.reached) >= self._sources():
            return True
        if self._first_at is None:
            self._first_at = monotonic()
        return monotonic() > self._first_at + _PATIENCE_S

    def _of_ours(self) -> dict[int, PartitionJoin]:
        """What is ours now; made of its state again where that was taken back."""
        partitions = self._partitions()
        joins = {}
        for number in self._state.partitions:
            state = self._state.of(number)
            known = self._joins.get(number)
            if known is None or known[:3] != (state, state.taken_back, partitions):
                join = PartitionJoin(state, number, partitions, self._terms)
                known = state, state.taken_back, partitions, join
            joins[number] = known
        self._joins = joins
        return {number: join for number, (*_, join) in joins.items()}
