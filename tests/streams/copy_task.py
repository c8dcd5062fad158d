"""A small task for the loop of a staged worker: it says what it reads."""

from collections.abc import Sequence
from typing import Any

from confluent_kafka import Message
from quiet_loop import staged_loop

from streams.features.state import FeatureState
from streams.kafka.client import KafkaSettings
from streams.loop.settings import LoopSettings
from streams.stages.common.step import StagePosition, Step
from streams.stages.worker.loop import StagedLoop
from streams.transactions.outcome import Outgoing


class Copy:
    """Copies a partition; a `streams.stages.common.task.StageTask`."""

    ready = True
    stage = "copy"
    oldest = None
    stateful = None
    waiting = 0
    states: tuple[FeatureState, ...] = ()

    def __init__(self, target: str, partition: int) -> None:
        self._target, self._partition = target, partition
        self._queue: list[Message] = []
        self._end = self._said = 0

    def begin(self, position: StagePosition | None) -> None:
        self.next_offset = position.offset if position else 0

    def feed(self, messages: Sequence[Message]) -> None:
        self._queue += [each for each in messages if each.error() is None]
        self._end = max([each.offset() for each in messages if each.error()], default=self._end)

    def most_queued(self, is_event: bool) -> int:
        return 0

    def rest(self) -> Step | None:
        if self._queue or self._end <= max(self._said, self.next_offset):
            return None
        self._said = self._end
        return Step([], StagePosition(self._end, "copied"))

    def take(self, limit: int) -> Step | None:
        if not self._queue:
            return None
        taken, self._queue = self._queue, []
        self.next_offset = taken[-1].offset() + 1
        values = [each.value() for each in taken]
        count = len(values)
        out = Outgoing(self._target, values, [None] * count, [self._partition] * count)
        return Step([out], StagePosition(self.next_offset, "copied"))

    def commit(self) -> None:
        pass

    def rollback(self) -> None:
        raise AssertionError("nothing was aborted")


def copying(
    kafka: KafkaSettings, loop: LoopSettings, source: str, target: str, **more: Any
) -> StagedLoop:
    """The loop of a staged worker that copies a topic to another one."""
    return staged_loop(kafka, loop, [source], lambda _, partition: Copy(target, partition), **more)
