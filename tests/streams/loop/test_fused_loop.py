"""The exactly-once loop against the real broker."""

import json
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import running_sum
from confluent_kafka import Consumer, KafkaError, Producer
from loop_world import PARTITIONS, START, MakeTopics, Running, World, running, wait
from running_sum import RunningSum, make_loop

from streams.loop.growth import Growth
from streams.transactions.errors import FencedError, OutlivedError
from streams.transactions.outcome import Outgoing


@pytest.fixture
def world(kafka: str, make_topics: MakeTopics) -> World:
    return World(kafka, make_topics)


def test_many_stops_and_starts_answer_each_event_once(world: World) -> None:
    for lap in range(6):
        task = RunningSum(world.answers)
        loop = world.loop(task, max_batch=70)
        with running(loop):
            if lap % 2:
                wait(lambda loop=loop: loop.ready)
            world.send(500)
            wait(lambda task=task: task.committed_events >= 150)
        assert task.restored <= world.sent - task.committed_events
    with running(world.loop()):
        wait(lambda: world.answered() >= world.sent)
    world.check()
    assert sum(world.committed()) == world.sent


def test_a_stop_takes_back_what_was_read_but_not_answered(world: World) -> None:
    world.send(2_000)
    task = RunningSum(world.answers)
    with running(world.loop(task, max_batch=10)):
        assert task.visible.wait(30)
    answered = world.answered()
    assert answered == task.committed_events == sum(world.committed())
    assert answered < 2_000, "too quick for this test"
    task = RunningSum(world.answers)
    with running(world.loop(task)):
        wait(lambda: task.committed_events == 2_000 - answered)
    assert task.restored == answered
    world.check()


def test_an_abort_loses_and_doubles_nothing(world: World, make_topics: MakeTopics) -> None:
    """The broker refuses one record, so all of its transaction is void."""
    (narrow,) = make_topics("narrow", config={"max.message.bytes": "2000"})
    task = RunningSum(world.answers)
    transactions = 0

    def refused_now_and_then(work: Any) -> list[Outgoing]:
        nonlocal transactions
        transactions += 1
        if transactions % 30 != 3:
            return []
        return [Outgoing(narrow, [os.urandom(5_000)], [None], [0])]

    task.extra = refused_now_and_then
    world.send(1_000)
    loop = world.loop(task, max_batch=40)
    with running(loop):
        while world.sent < 4_000:
            world.send(100)
        wait(lambda: task.committed_events >= world.sent)
        wait(lambda: set(loop.lag().values()) == {0})
    assert len(task.aborts) >= 2
    assert task.resets == 1
    assert task.undone == len(task.aborts)
    assert "large" in task.aborts[0]
    assert world.read(narrow) == []
    world.check()
    assert sum(world.committed()) == world.sent


def test_an_abort_while_a_queue_is_held_back(world: World, make_topics: MakeTopics) -> None:
    (narrow,) = make_topics("narrow", config={"max.message.bytes": "2000"})
    task = RunningSum(world.answers)
    refused = [Outgoing(narrow, [os.urandom(5_000)], [None], [0])]
    task.extra = lambda work: [] if task.aborts or not task.committed_events else refused
    world.send(600)
    with running(world.loop(task, max_batch=25, max_queued=50)):
        wait(lambda: task.committed_events >= world.sent)
    assert len(task.aborts) == 1
    world.check()


def test_an_abort_that_comes_when_the_state_is_to_be_rebuilt_is_noted_before(
    world: World, make_topics: MakeTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noted after, it would take back what the new state has not."""
    (narrow,) = make_topics("narrow", config={"max.message.bytes": "2000"})
    task = RunningSum(world.answers)
    loop = world.loop(task, max_batch=25)
    look = Growth.look
    refused = rebuilt = 0

    def refused_once(work: Any) -> list[Outgoing]:
        nonlocal refused
        if refused or not task.committed_events:
            return []
        refused += 1
        return [Outgoing(narrow, [os.urandom(5_000)], [None], [0])]

    def lose_partitions(growth: Growth) -> bool:
        nonlocal rebuilt
        if not refused or rebuilt or not loop._transactor.busy:
            return look(growth)
        wait(lambda: not loop._transactor.busy)
        rebuilt += 1
        return True

    task.extra = refused_once

    monkeypatch.setattr(Growth, "look", lose_partitions)
    world.send(600)
    with running(loop):
        wait(lambda: task.committed_events >= world.sent)
    assert (rebuilt, len(task.aborts)) == (1, 1)
    world.check()


def test_a_second_loop_fences_the_first(world: World) -> None:
    world.send(300)
    first = Running(world.loop(max_batch=20))
    wait(lambda: world.answered() >= 20)
    second = RunningSum(world.answers)
    with running(world.loop(second)):
        deadline = monotonic() + 40
        while not first.ended(0.05):
            world.send(10)
            assert monotonic() < deadline, "the first goes on"
        assert isinstance(first.error, FencedError)
        assert world.group in str(first.error)
        wait(lambda: world.answered() >= world.sent)
    world.check()


def test_a_second_loop_fences_an_idle_first(world: World) -> None:
    world.send(10)
    first = Running(world.loop())
    wait(lambda: world.answered() >= 10)
    with running(world.loop()) as second:
        assert first.ended(40), "both wait for each other's partitions"
        assert isinstance(first.error, FencedError)
        wait(lambda: second.loop.ready)
        world.send(10)
        wait(lambda: world.answered() >= 20)
    world.check()


def test_of_several_that_start_at_once_one_remains(world: World) -> None:
    """None of them ever owned everything; the last to start has fenced off the others."""
    world.send(100)
    runners = [Running(world.loop()) for _ in range(3)]
    try:
        wait(lambda: sum(runner.ended(0.02) for runner in runners) >= 2)
        wait(lambda: world.answered() >= 100)
    finally:
        for runner in runners:
            runner.stop()
    assert sum(isinstance(runner.error, FencedError) for runner in runners) == 2
    assert [runner.error for runner in runners].count(None) == 1
    world.check()


def test_a_killed_process_leaves_nothing_half_visible(world: World) -> None:
    world.send(1_000)
    for lap, die_in in enumerate((1, 3, 5)):
        before = world.answered()
        process = start_process(world, DIE_IN=str(die_in))
        assert process.wait(60) == -9
        # 50 events in each transaction, and the last one is void.
        assert world.answered() <= before + 50 * (die_in - 1), f"lap {lap}"
    assert 0 < world.answered() < world.sent
    process = start_process(world)
    wait(lambda: world.answered() >= world.sent)
    process.terminate()
    assert process.wait(30) == 0
    world.check()


def start_process(world: World, **environment: str) -> "subprocess.Popen[bytes]":
    program = Path(running_sum.__file__)
    return subprocess.Popen(
        [sys.executable, program, world.kafka, world.events, world.answers, world.group],
        env=os.environ | {"PYTHONPATH": str(program.parents[2])} | environment,
    )


def test_garbage_is_handed_over_once_and_passed(world: World, make_topics: MakeTopics) -> None:
    (bad_topic,) = make_topics("bad")
    garbage = [b"noise %d" % i for i in range(500)]
    world.send_raw(*garbage, partition=2)
    world.send_raw(None, partition=1)
    world.send(300, partitions=(0, 1))
    for _ in range(2):
        task = RunningSum(world.answers, bad_topic)
        with running(world.loop(task, max_batch=100)) as runner:
            wait(lambda runner=runner: runner.loop.ready)
            wait(lambda: world.answered() >= 300)
            wait(lambda: len(world.read(bad_topic)) >= 501)
    world.check()
    values = [message.value() for message in world.read(bad_topic)]
    assert sorted(value for value in values if value is not None) == sorted(garbage)
    assert len(values) == 501
    assert world.committed()[2] == 500


def test_empty_topics_are_waited_on(world: World) -> None:
    with running(world.loop()) as runner:
        wait(lambda: runner.loop.ready)
        assert runner.loop.lag() == {(world.events, partition): 0 for partition in range(4)}
        sleep(0.5)
        world.send(20)
        wait(lambda: world.answered() == 20)
    world.check()


def test_a_part_of_the_partitions_is_not_worth_a_start(world: World) -> None:
    """What is read while another member holds some partitions is read again afterwards."""
    world.send(100)
    task = RunningSum(world.answers)
    # It gives up after this time without all partitions, and a slow machine is no reason to.
    with running(world.loop(task, session_timeout="60s")) as runner:
        wait(lambda: world.answered() == 100)
        other = join(world)
        wait(lambda: bool(poll(other).assignment()) and not runner.loop.ready)
        world.send(400)
        until = monotonic() + 1.5
        while monotonic() < until:
            poll(other)
        assert world.answered() == 100
        other.close()
        wait(lambda: runner.loop.ready)
        wait(lambda: task.committed_events >= 500)
    world.check()


def test_a_loop_that_comes_second_waits_for_the_first_to_leave(world: World) -> None:
    world.send(200)
    other = join(world)
    wait(lambda: len(poll(other).assignment()) == PARTITIONS)
    with running(world.loop()) as runner:
        wait(lambda: len(poll(other).assignment()) < PARTITIONS)
        world.send(200)
        until = monotonic() + 1.5
        while monotonic() < until:
            poll(other)
        assert not runner.loop.ready
        assert world.answered() == 0
        other.close()
        wait(lambda: world.answered() >= 400)
    world.check()


def join(world: World) -> Any:
    other = Consumer(
        {
            "bootstrap.servers": world.kafka,
            "group.id": world.group,
            "partition.assignment.strategy": "cooperative-sticky",
            "enable.auto.commit": False,
            "session.timeout.ms": 6_000,
        }
    )
    other.subscribe([world.events])
    return other


def poll(consumer: Any) -> Any:
    message = consumer.poll(0.05)
    assert message is None or message.error() is None or not message.error().fatal()
    return consumer


def test_a_short_session_does_not_end_between_heartbeats(world: World) -> None:
    task = RunningSum(world.answers)
    with running(world.loop(task, session_timeout="1500ms")) as runner:
        wait(lambda: runner.loop.ready)
        sleep(3.5)
        assert runner.loop.ready
    assert task.resets == 1


def test_markers_of_a_transactional_producer_are_no_lag(world: World) -> None:
    producer = Producer({"bootstrap.servers": world.kafka, "transactional.id": world.group + "-in"})
    producer.init_transactions(30)
    event = {"id": 0, "account": 0, "amount": 0, "at": START}
    producer.begin_transaction()
    producer.produce(world.events, json.dumps(event), partition=0)
    producer.commit_transaction(30)
    producer.begin_transaction()
    producer.produce(world.events, json.dumps(event | {"id": 999}), partition=1)
    producer.flush(10)
    producer.abort_transaction(30)
    with running(world.loop()) as runner:
        wait(lambda: world.answered() == 1)
        wait(lambda: set(runner.loop.lag().values()) == {0}, 5)
    world.check(sent=1)


def test_a_missing_broker_is_no_reason_to_hang(world: World) -> None:
    loop = make_loop(
        "127.0.0.1:9",
        world.events,
        RunningSum(world.answers),
        world.group,
        transaction_timeout="1s",
    )
    runner = Running(loop)
    assert runner.ended(20)
    assert runner.error is not None
    assert runner.error.args[0].code() == KafkaError._TIMED_OUT


def test_a_transaction_that_outlives_its_time_is_not_taken_for_a_rival(world: World) -> None:
    task = RunningSum(world.answers)
    task.extra = lambda work: [Slow(world.answers, 4.0)] if len(work.events) else []
    world.send(10)
    runner = Running(world.loop(task, transaction_timeout="1s"))
    assert runner.ended(60)
    assert isinstance(runner.error, OutlivedError)
    assert "loop.transaction_timeout (1 s)" in str(runner.error)
    with running(world.loop()):
        wait(lambda: world.answered() == 10)
    world.check()


class Slow(Outgoing):
    """Records that take their time to be produced."""

    def __init__(self, topic: str, seconds: float) -> None:
        super().__init__(topic, [b"{}", b"{}"], self._pause(seconds), [0, 0])

    @staticmethod
    def _pause(seconds: float) -> Any:
        yield None
        sleep(seconds)
        yield None
