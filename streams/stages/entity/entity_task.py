"""The task of a partition of one entity's events: its windows, and what they say of each event."""

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Message

from streams.features.state import FeatureState
from streams.stages.common.stateful_stage import StatefulStage
from streams.stages.common.step import StagePosition, Step
from streams.stages.common.task import records_and_end
from streams.stages.entity.entity_stage import EntityStage

SourceEnds = Callable[[], Mapping[tuple[bool, int], int]]
"""Where the source partitions end: whether of events, and the number, to the offset."""


class EntityTask:
    """A partition of one entity's events.

    Args:
        source_ends: asked only where history waits for a partition; see `EntityStage.ended`.
    """

    stage: str | None = "entity"

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
    def oldest(self) -> int | None:
        """See `StageTask`."""
        return self._stage.oldest

    def most_queued(self, is_event: bool) -> int:
        """See `StageTask`."""
        return self._stage.most_queued(is_event)

    @property
    def ready(self) -> bool:
        """See `StageTask`."""
        return self._stage.ready

    @property
    def states(self) -> list[FeatureState]:
        """See `StageTask`."""
        return [self._stage.state]

    @property
    def nbytes(self) -> int:
        """See `StageTask`."""
        return self._stage.state.nbytes

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

    def rest(self) -> Step | None:
        """See `StageTask`."""
        return self._stage.rest()

    def commit(self) -> None:
        """See `StageTask`."""
        self._stage.commit()

    def rollback(self) -> None:
        """See `StageTask`."""
        self._stage.rollback()
