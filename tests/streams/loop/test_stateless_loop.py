"""The stateless loop and its keyed state against the real broker."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from time import sleep

import counting
import pytest
from confluent_kafka import Message, Producer
from counting import PARTITIONS, CountingWorld, MakeTopics
from group_lag import group_lag
from loop_world import Running, running, wait

from streams.base.bounded_calls import StoppedError
from streams.dead_letters.letter import read_dead_letter
from streams.kafka.client import KafkaSettings
from streams.kafka.topics.topic_partitions import TopicError
from streams.loop.stateless.loop import Processed, RecordRefusedError, StatelessLoop
from streams.transactions.errors import FencedError


@pytest.fixture
def world(kafka: str, make_topics: MakeTopics) -> CountingWorld:
    return CountingWorld.make(kafka, make_topics)


def start_process(world: CountingWorld, name: str, **more: str) -> "subprocess.Popen[bytes]":
    program = Path(counting.__file__)
    path = os.pathsep.join(map(str, (program.parents[3], program.parents[1])))
    return subprocess.Popen(
        [sys.executable, program, name, *world.arguments],
        env=os.environ | {"PYTHONPATH": path} | more,
    )


@pytest.mark.slow
def test_each_input_is_counted_once_whoever_is_killed(world: CountingWorld) -> None:
    world.send(1_200)
    # All of its fourth transaction is with the broker, and it dies before the commit.
    assert start_process(world, "a", DIE_IN="4").wait(60) == -signal.SIGKILL
    killed = start_process(world, "b")
    try:
        with running(world.worker("c")):
            wait(lambda: world.answered() > 300)
            world.send(600)
            with running(world.worker("d")) as joins:
                wait(lambda: joins.loop.ready)
                world.send(600)
                killed.send_signal(signal.SIGKILL)
                killed.wait(30)
            wait(lambda: world.answered() >= world.sent)
    finally:
        killed.kill()
    world.check()


def test_a_group_at_rest_has_no_lag_and_commits_no_more(world: CountingWorld, kafka: str) -> None:
    """The input's last records are those of transactions: one committed, one aborted."""
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": world.group + "-in"})
    producer.init_transactions(30)
    for partition, commit in ((0, True), (1, False), (2, True)):
        producer.begin_transaction()
        producer.produce(world.source, b"", b"key", partition)
        producer.flush(30)
        if commit:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    commits = 0

    def count() -> None:
        nonlocal commits
        commits += 1

    with running(world.worker("a", committed=count)) as runner:
        wait(lambda: group_lag(kafka, world.group, world.source) == dict.fromkeys(range(4), 0))
        wait(lambda: runner.loop.lag == {(world.source, each): 0 for each in range(4)})
        before = -1
        while before != commits:  # the last ones may be on their way; each comes a second apart
            before = commits
            sleep(2.5)
            assert commits <= 4, "one for each partition at most, though they come one by one"
    assert world.answered() == 2
    assert group_lag(kafka, world.group, world.source) == dict.fromkeys(range(4), 0)


def test_a_record_that_fails_or_is_refused_goes_to_the_dead_letters_alone(
    kafka: str, make_topics: MakeTopics
) -> None:
    world = CountingWorld.make(kafka, make_topics)
    (world.counts,) = make_topics("narrow", partitions=4, config={"max.message.bytes": "2000"})
    rejected: list[str] = []
    for value in (b"", b"fails", b"", b"huge", b"", b"", b"fails", b""):
        world.producer.produce(world.source, value, b"key", 1)
    assert world.producer.flush(30) == 0
    with running(world.worker("a", rejected=rejected.append)):
        wait(lambda: group_lag(kafka, world.group, world.source)[1] == 0)
    letters = [read_dead_letter(message) for message in world.read(world.letters)]
    assert sorted((each.offset, each.reason) for each in letters) == [
        (1, "failed"),
        (3, "failed"),
        (6, "failed"),
    ]
    details = {each.offset: each.detail for each in letters}
    assert details[1] == "ValueError: no answer to that"
    assert "large" in details[3]
    assert rejected == ["failed"] * 3
    # What was tried in vain is not counted.
    assert [b'"count": %d' % (n + 1) in m.value() for n, m in enumerate(world.read(world.counts))]
    assert world.answered() == 5


def test_a_letter_that_is_refused_ends_it(kafka: str, make_topics: MakeTopics) -> None:
    world = CountingWorld.make(kafka, make_topics)
    (world.letters,) = make_topics("narrow", config={"max.message.bytes": "100"})
    world.producer.produce(world.source, b"fails", b"key", 1)
    assert world.producer.flush(30) == 0
    runner = Running(world.worker("a"))
    assert runner.ended(60)
    assert isinstance(runner.error, RecordRefusedError)
    assert "no answer to that" in str(runner.error)
    assert world.letters in str(runner.error)


def test_who_was_silent_for_too_long_commits_nothing_of_what_others_have(
    world: CountingWorld,
) -> None:
    """Kafka's client leaves the group for a task that takes too long, and the task goes on."""
    impatient = {"max.poll.interval.ms": 2_000, "session.timeout.ms": 2_000}
    settings = world.kafka.model_copy(update={"consumer": impatient})
    entered, released, aborted = Event(), Event(), Event()
    slow = world.worker("slow", kafka=settings, aborted=lambda _: aborted.set())
    process = slow._process

    def process_slowly(messages: Sequence[Message]) -> Processed:
        processed = process(messages)
        entered.set()
        released.wait()
        return processed

    slow._process = process_slowly
    world.send(48)
    with running(slow):
        try:
            assert entered.wait(60)
            with running(world.worker("other")):
                wait(lambda: world.answered() >= 48)
                released.set()
                assert aborted.wait(60)
        finally:
            released.set()
        world.send(48)
        wait(lambda: world.answered() >= 96)
    world.check()


def test_state_is_complete_before_a_partition_is_read(
    world: CountingWorld,
    kafka: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A transaction of the former owner is committed, and its markers are not all written."""
    monkeypatch.setattr("streams.loop.stateless.state_topic._COMPLAIN_S", 0.1)
    former = Producer({"bootstrap.servers": kafka, "transactional.id": world.group + "-former"})
    former.init_transactions(30)
    former.begin_transaction()
    former.produce(world.state_topic, b"70", b"1", 1)
    assert former.flush(30) == 0
    world.send(12)
    with running(world.worker("a")) as runner:
        wait(lambda: world.answered() == 9)
        wait(lambda: "left a transaction open" in caplog.text)
        assert not runner.loop.ready
        former.commit_transaction(30)
        wait(lambda: world.answered() == 12)
        assert runner.loop.ready
    said = {message.value() for message in world.read(world.counts) if message.partition() == 1}
    assert [b'"key": "1", "count": 71' in value for value in sorted(said)].count(True) == 1


def test_records_that_linger_count_once_while_workers_come_and_go(world: CountingWorld) -> None:
    def worker(name: str) -> StatelessLoop:
        return world.worker(name, linger=400, max_batch=1_000)

    with running(worker("a")):
        for name in ("b", "c", "d"):
            world.send(60)
            with running(worker(name)) as other:
                world.send(60)
                wait(lambda other=other: other.loop.ready)  # type: ignore[misc]
                world.send(60)
        wait(lambda: world.answered() == world.sent)
    world.check()


def test_a_worker_without_partitions_stands_by(kafka: str, make_topics: MakeTopics) -> None:
    source, letters = make_topics("source", "letters")

    def standing(name: str) -> StatelessLoop:
        return StatelessLoop(
            kafka=KafkaSettings(bootstrap_servers=kafka),
            group=source,
            worker=name,
            topics=[source],
            process=lambda _: Processed(),
            dead_letters=letters,
            max_batch=10,
        )

    first, second = standing("a"), standing("b")
    assert not first.ready
    with running(first), running(second):
        wait(lambda: first.ready and second.ready)
        wait(lambda: len(first.lag) + len(second.lag) == 1)
    assert not first.ready


def test_what_is_left_open_when_it_is_stopped_is_said(world: CountingWorld) -> None:
    def waits_in_vain(messages: Sequence[Message]) -> Processed:
        raise StoppedError("stopped while waiting for a model")

    world.send(12)
    runner = Running(world.worker("a", process=waits_in_vain))
    assert runner.ended(60)
    assert str(runner.error) == "stopped while waiting for a model"
    assert set(group_lag(world.bootstrap_servers, world.group, world.source).values()) == {None}


def test_errors_of_the_machine_are_no_fault_of_a_record(world: CountingWorld) -> None:
    class RingError(Exception):
        pass

    def fails(messages: Sequence[Message]) -> Processed:
        raise errors[-1]

    errors: list[Exception] = [OSError("No space left on device"), RingError("can't be written")]
    world.send(12)
    while errors:
        runner = Running(world.worker("a", process=fails, machine_errors=(RingError,)))
        assert runner.ended(60)
        assert runner.error is errors.pop()
    assert world.read(world.letters) == []


def test_a_second_worker_of_the_same_name_ends_the_first(world: CountingWorld) -> None:
    first = Running(world.worker("same"))
    wait(lambda: first.loop.ready)
    with running(world.worker("same")) as second:
        wait(lambda: second.loop.ready)

        def first_has_ended() -> bool:
            world.send(12)
            return first.ended(0.2)

        wait(first_has_ended)
        assert isinstance(first.error, FencedError)
        assert "the worker name 'same'" in str(first.error)
        wait(lambda: world.answered() >= world.sent)
    world.check()


def test_a_state_topic_with_too_few_partitions_ends_it(kafka: str, make_topics: MakeTopics) -> None:
    world = CountingWorld.make(kafka, make_topics)
    (world.state_topic,) = make_topics("narrow", partitions=PARTITIONS - 1)
    runner = Running(world.worker("a"))
    assert runner.ended(60)
    assert isinstance(runner.error, TopicError)
    assert f"topic {world.state_topic!r} has 3 partitions and its input" in str(runner.error)
