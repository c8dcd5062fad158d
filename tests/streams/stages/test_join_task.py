"""Events that can't be answered: only the one to blame becomes a dead letter."""

from typing import Any

import numpy as np
import pytest
from staged_world import EVENTS, SourceRecord, World
from test_staged_network import TABLES, plan_of, random_sources

from streams.events.rejection import Reason
from streams.features.feature_rows import FeatureRows
from streams.features.window_settings import WindowSettings
from streams.intake.input_batch import InputBatch
from streams.loop.fused.task import Answers
from streams.stages.common.step import StagePosition
from streams.stages.join.join_task import JoinTask
from streams.transactions.outcome import Committed, Outgoing


class Desk:
    """Answers every event but one by its id and features, and says what became visible."""

    def __init__(self, poison: int, log: list[SourceRecord]) -> None:
        self.poison = poison
        self.log = log
        self.broken = False
        self.answered: list[int] = []
        self.features: list[Any] = []
        self.dead: list[tuple[int, Reason, str]] = []

    def answer(self, work: InputBatch, rows: FeatureRows, features_s: float) -> Answers:
        assert len(work.events) == len(rows.matrix) == len(work.offsets) == len(work.arrived)
        if self.poison in work.events.ids or self.broken:
            raise ArithmeticError("that is too much")

        def when_visible(committed: Committed) -> None:
            self.answered += work.events.ids
            self.features += rows.matrix.tolist()
            self.dead += [
                (bad.message.offset() or 0, bad.rejected.reason, bad.rejected.detail)
                for bad in work.bad
            ]

        return Answers([Outgoing("scores", work.events.ids, [], [])], when_visible)

    def check(self) -> None:
        if self.broken:
            raise RuntimeError("nothing can be answered")

    def refetch(self, partition: int, offset: int) -> Any:
        return self.log[offset]


@pytest.fixture
def world() -> World:
    rng = np.random.default_rng(11)
    world = World(plan_of(TABLES), WindowSettings(), random_sources(rng, 0), 2, rng)
    world.run(0.0)
    return world


def join(world: World, poison: int, broken: bool = False) -> tuple[Desk, JoinTask]:
    """The join of partition 0 once more, from its log's beginning."""
    place = (world.names.enriched, 0)
    desk = Desk(poison, world.sources[EVENTS, 0])
    task = JoinTask(world.new_task(place), desk.answer, desk.check, desk.refetch)
    task.begin(None)
    task.feed([SourceRecord((*place, i), value, 0) for i, value in enumerate(world.logs[place])])  # type: ignore[misc]
    return desk, task


def test_the_one_to_blame_is_a_dead_letter_and_the_others_are_answered(world: World) -> None:
    calm, task = join(world, poison=-1)
    step = task.take(1_000)
    assert step is not None
    step.when_visible(Committed(0.0, 0.0))
    assert len(calm.answered) > 10
    for at in (0, len(calm.answered) // 2, len(calm.answered) - 1):
        desk, task = join(world, poison=calm.answered[at])
        step = task.take(1_000)
        assert step is not None
        assert isinstance(step.position, StagePosition)
        assert not desk.answered  # nothing counts before it is committed
        step.when_visible(Committed(0.0, 0.0))
        assert desk.answered == calm.answered[:at] + calm.answered[at + 1 :]
        others = calm.features[:at] + calm.features[at + 1 :]
        np.testing.assert_array_equal(desk.features, others)
        ((offset, reason, detail),) = desk.dead
        assert (reason, detail) == (Reason.FAILED, "ArithmeticError: that is too much")
        value = desk.log[offset].value()
        assert value is not None
        assert f'"id": {calm.answered[at]},' in value.decode()


def test_an_engine_that_can_answer_nothing_condemns_nobody(world: World) -> None:
    desk, task = join(world, poison=-1)
    desk.broken = True
    with pytest.raises(RuntimeError, match="nothing can be answered"):
        task.take(1_000)


def test_what_was_not_committed_is_answered_again(world: World) -> None:
    desk, task = join(world, poison=-1)
    first = task.take(5)
    assert first is not None
    task.rollback()
    again = task.take(5)
    assert again is not None
    assert again.position == first.position
    again.when_visible(Committed(0.0, 0.0))
    assert len(desk.answered) == 5
    np.testing.assert_array_equal(first.outgoing[0].values, again.outgoing[0].values)
