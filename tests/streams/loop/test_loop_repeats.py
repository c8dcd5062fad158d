"""The exactly-once loop leaves repeats out: after aborts, and after restarts of any kind."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from loop_world import PARTITIONS, MakeTopics, World, running, wait
from running_sum import RunningSum

from streams.features.repeat_filter import RepeatFilter
from streams.intake.input_batch import InputBatch
from streams.loop.fused.task import Answers
from streams.transactions.outcome import Outgoing

SECOND_MS = 1_000


class SumOfOnes(RunningSum):
    """A running sum whose state has the ids of its events in it, as the scorer's has."""

    def __init__(self, answers_topic: str, within_ms: int = 3_600 * SECOND_MS) -> None:
        super().__init__(answers_topic)
        self.repeats = RepeatFilter(within_ms, 1_000_000, texts=False)
        self.memory_ms = within_ms
        self.left_out = 0

    def reset(self) -> None:
        super().reset()
        self.repeats.reset()

    def savepoint(self) -> None:
        super().savepoint()
        self.repeats.savepoint()

    def commit(self) -> None:
        super().commit()
        self.repeats.commit()

    def rollback(self) -> None:
        super().rollback()
        self.repeats.rollback()

    def dump(self) -> list[bytes | memoryview]:
        return [*self.repeats.dump(), *super().dump()]

    def load(self, buffers: Sequence[Any]) -> None:
        super().load(list(self.repeats.load(buffers)))

    def restore(self, work: InputBatch) -> None:
        super().restore(work)
        self.repeats.settle_taken()

    def process(self, work: InputBatch) -> Answers:
        answers = super().process(work)

        def visible(committed: Any) -> None:
            answers.when_visible(committed)
            self.left_out += work.repeats

        return Answers(answers.outgoing, visible)


@pytest.fixture
def world(kafka: str, make_topics: MakeTopics) -> World:
    return World(kafka, make_topics)


def send_again(world: World, count: int) -> None:
    """Send the first events once more, as a producer does that was started again."""
    sent, world.sent = world.sent, 0
    world.send(count)
    world.sent = sent


def done(world: World, task: SumOfOnes, left_out: int) -> Callable[[], bool]:
    return lambda: task.left_out >= left_out and world.answered() >= world.sent


def test_repeats_are_left_out_at_once_and_after_restarts(
    world: World, make_topics: MakeTopics
) -> None:
    (snapshots,) = make_topics("snapshots", config={"cleanup.policy": "compact"})
    written = {"snapshots": {"every_events": 300}, "snapshot_topic": snapshots}

    world.send(400)
    task = SumOfOnes(world.answers)
    with running(loop := world.loop(task, **written)):
        wait(lambda: task.committed_events >= 400)
        send_again(world, 400)
        wait(done(world, task, 400))
        wait(lambda: set(loop.lag().values()) == {0})  # their offsets are committed, too
        world.send(10)
        wait(lambda: loop._snapshots.pointer is not None and task.committed_events >= 410)

    task = SumOfOnes(world.answers)
    with running(world.loop(task, **written)):  # from the snapshot, and what came after it
        send_again(world, 410)
        world.send(300)
        wait(done(world, task, 410))
    assert (task.loads, task.committed_events) == (1, 300)

    task = SumOfOnes(world.answers)
    with running(world.loop(task)):  # from the topic alone
        send_again(world, 710)
        wait(done(world, task, 710))
    assert (task.loads, task.restored, task.committed_events) == (0, 710, 0)
    world.check()


def test_an_abort_takes_ids_back(world: World, make_topics: MakeTopics) -> None:
    """What was not answered is no reason to leave anything out."""
    (narrow,) = make_topics("narrow", config={"max.message.bytes": "2000"})
    task = SumOfOnes(world.answers)
    transactions = 0

    def refused_now_and_then(work: Any) -> list[Outgoing]:
        nonlocal transactions
        transactions += 1
        refused = transactions % 20 == 3
        return [Outgoing(narrow, [os.urandom(5_000)], [None], [0])] if refused else []

    task.extra = refused_now_and_then
    with running(world.loop(task, max_batch=40)):
        for _ in range(8):
            world.send(200)
            send_again(world, 100)
        wait(done(world, task, 800))
    assert len(task.aborts) >= 2
    assert task.undone == len(task.aborts)
    assert task.resets == 1
    assert task.left_out == 800
    world.check()


def test_what_comes_again_too_late_is_another_event(world: World) -> None:
    """Events are 250 ms apart, and each partition has a clock of its own."""
    world.send(80)
    task = SumOfOnes(world.answers, within_ms=10 * SECOND_MS)
    with running(world.loop(task)):
        wait(lambda: task.committed_events >= 80)
        send_again(world, 80)
        wait(lambda: task.committed_events + task.left_out >= 160)
    ids = [answer["id"] for answer in world.answers_read()]
    newest = {i % PARTITIONS: i for i in range(80)}
    forgotten = [i for i in range(80) if (newest[i % PARTITIONS] - i) * 250 > 10 * SECOND_MS]
    assert 20 < len(forgotten) < 60
    assert sorted(ids) == sorted([*range(80), *forgotten])
