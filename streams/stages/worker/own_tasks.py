"""The tasks of the partitions that are ours, and what is committed for each."""

from collections.abc import Collection, Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

from confluent_kafka import Message

from streams.kafka.message import place_of
from streams.kafka.partition import PartitionId
from streams.kafka.records.consuming import is_end
from streams.loop.stage_clock import StageClock
from streams.stages.common.messages import MessageError
from streams.stages.common.step import StagePosition, Step
from streams.stages.common.task import StageTask
from streams.stages.route.route_task import RouteTask
from streams.stages.worker.passed_batches import PassedBatches
from streams.stages.worker.stage_restorer import Restoring


class Made(NamedTuple):
    """What a task has to say, and since when; seconds of `perf_counter`."""

    step: Step
    at: float


class OwnTasks:
    """Feeds the tasks of a worker's partitions, and asks them for what they have to say.

    Args:
        passed: told of batches that can't be read.
        stages: told what the time is spent on, but for tasks without a `stage`.

    Attributes:
        by_place: the task of each partition whose state is restored, or being read.
    """

    def __init__(self, passed: PassedBatches, stages: StageClock) -> None:
        self._passed = passed
        self._stages = stages
        self._positions: dict[PartitionId, StagePosition | None] = {}
        self._holding = {True: False, False: False}
        self.by_place: dict[PartitionId, StageTask] = {}

    @property
    def waiting(self) -> int:
        """How many records are queued."""
        return sum(task.waiting for task in self.by_place.values())

    @property
    def queued(self) -> Mapping[PartitionId, int]:
        """How many records are queued of each partition of a source.

        No other may be held back: what its rows wait for stands behind them.
        """
        return {
            place: task.waiting
            for place, task in self.by_place.items()
            if isinstance(task, RouteTask)
        }

    def hold_sources(self, limit: int) -> None:
        """Route no more while so many rows of a source wait in a stage of ours, down to half.

        Events wait for events, and labels for labels, that there are not too many of.

        Nobody waits for ever. Of all rows anywhere that wait, the first waits for none but sources
        that have come no further. Each that is held has come further than the first of our rows,
        which is no earlier than that, and has told every place so.
        """
        tasks = self.by_place.values()
        for is_event, held in self._holding.items():
            most = max((task.most_queued(is_event) for task in tasks), default=0)
            self._holding[is_event] = most > limit // 2 if held else most >= limit
        first = None
        if any(self._holding.values()):
            queued = [task.oldest for task in tasks]
            first = min((each for each in queued if each is not None), default=None)
        for task in tasks:
            if isinstance(task, RouteTask):
                task.hold(first if self._holding[task.is_event] else None)

    def next_offsets(self) -> Mapping[PartitionId, int]:
        """Of the first record of each partition that was not fed."""
        return {place: task.next_offset for place, task in self.by_place.items()}

    def add(self, restoring: Restoring) -> None:
        """A partition is to be fed from now on."""
        self.by_place[restoring.place] = restoring.task
        self._positions[restoring.place] = restoring.position

    def forget(self, place: PartitionId) -> None:
        """A partition is gone."""
        self.by_place.pop(place, None)

    def feed(self, messages: Sequence[Message]) -> None:
        """Give each task what was read of its partition; what is not ours any more is dropped.

        Raises:
            MessageError: a record between the stages can't be read; nothing more was fed.
        """
        runs: dict[PartitionId, list[Message]] = {}
        for message in messages:
            if message.error() is None or is_end(message):
                place = place_of(message)
                runs.setdefault(place, []).append(message)
        self._stages.lap("upkeep")
        for place, run in runs.items():
            task = self.by_place.get(place)
            if task is None:
                continue
            committed = self._positions[place]
            self._passed.note(place, run, committed.offset if committed is not None else -1)
            try:
                task.feed(run)
            except MessageError as error:
                raise MessageError(f"{place[0]}[{place[1]}] {error}") from error
            self._lap_of(task)

    def take(self, limit: int) -> dict[PartitionId, Made]:
        """What up to `limit` records of each partition come to."""
        steps = {}
        for place, task in self.by_place.items():
            step = task.take(limit)
            self._lap_of(task)
            if step is not None:
                steps[place] = Made(step, perf_counter())
        return steps

    def rest(self, but: Collection[PartitionId]) -> dict[PartitionId, Made]:
        """Where the partitions are at rest that have nothing to say, but for these."""
        return {
            place: Made(step, perf_counter())
            for place, task in self.by_place.items()
            if place not in but and (step := task.rest()) is not None
        }

    def commit(self, place: PartitionId, position: StagePosition) -> None:
        """What a task had to say is committed, up to there."""
        self.by_place[place].commit()
        self._positions[place] = position

    def rollback(self, place: PartitionId, committed: StagePosition | None) -> bool:
        """Take back what a task had to say; False if the group remembers something else.

        Args:
            committed: what the group has for the partition.
        """
        if committed != self._positions[place]:
            return False
        self.by_place[place].rollback()
        return True

    def _lap_of(self, task: StageTask) -> None:
        if task.stage is None:
            self._stages.skip()
        else:
            self._stages.lap(task.stage)
