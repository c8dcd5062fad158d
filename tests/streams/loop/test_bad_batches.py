"""A batch that can't be unpacked, in the midst of good records, stops nobody: real broker."""

from collections.abc import Callable
from typing import Any

from confluent_kafka import Message
from confluent_kafka.admin import AdminClient
from counting import CountingWorld
from loop_world import World, running, wait
from running_sum import RunningSum
from staged_run import StagedRun

from streams.base.clock import now_ms
from streams.dead_letters.letter import DeadLetter, read_dead_letter
from streams.dead_letters.writer import dead_letters_of
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from tests.raw_producer import produce_unreadable
from tests.restarts.group_lag import lag_of_group

MakeTopics = Callable[..., list[str]]


def letters_in(kafka: str, topic: str) -> list[DeadLetter]:
    batches = read_to_end(KafkaSettings(bootstrap_servers=kafka), topic)
    return [read_dead_letter(message) for batch in batches for message in batch]


def places(letters: list[DeadLetter]) -> list[Any]:
    assert {letter.reason for letter in letters} == {"bad_batch"}
    return sorted((each.topic, each.partition, each.offset, each.last_offset) for each in letters)


def test_a_fused_scorer_passes_it_live_and_in_history(kafka: str, make_topics: MakeTopics) -> None:
    world = World(kafka, make_topics)
    (dead,) = make_topics("dead")
    admin = AdminClient({"bootstrap.servers": kafka})

    def loop(task: RunningSum) -> Any:
        task.extra = lambda work: [dead_letters_of(dead, work.bad, now_ms())] if work.bad else []
        return world.loop(task)

    def done() -> bool:
        lag = lag_of_group(admin, world.group)
        return world.answered() >= world.sent and len(lag) == 4 and not any(lag.values())

    world.send(40)
    produce_unreadable(kafka, world.events, 0)
    produce_unreadable(kafka, world.events, 0)  # no gap between the two
    world.send(40)
    produce_unreadable(kafka, world.events, 1)  # nothing behind it
    expected = [(world.events, 0, 10, 14), (world.events, 0, 15, 19), (world.events, 1, 20, 24)]
    with running(loop(RunningSum(world.answers))):
        wait(done)
        world.send(40)
        wait(done)
    letters = letters_in(kafka, dead)
    assert places(letters) == expected
    assert "bytes of zstd" in letters[0].detail
    assert letters[0].is_partial
    task = RunningSum(world.answers)
    with running(loop(task)):
        world.send(40)
        wait(done)
    assert task.restored == 120
    assert places(letters_in(kafka, dead)) == expected
    world.check()


def test_a_stateless_worker_passes_it(kafka: str, make_topics: MakeTopics) -> None:
    world = CountingWorld.make(kafka, make_topics)
    world.send(40)
    produce_unreadable(kafka, world.source, 2)
    rejected: list[str] = []
    with running(world.worker("a", rejected=rejected.append)) as runner:
        wait(lambda: world.answered() == 40)
        world.send(40)
        wait(lambda: world.answered() == 80 and set(runner.loop.lag.values()) == {0})
    with running(world.worker("a", rejected=rejected.append)):
        world.send(40)
        wait(lambda: world.answered() == 120)
    assert places(letters_in(kafka, world.letters)) == [(world.source, 2, 10, 14)]
    assert rejected == ["bad_batch"]


def test_staged_workers_pass_it_in_all_their_topics(kafka: str, make_topics: MakeTopics) -> None:
    run = StagedRun(kafka, make_topics)
    topics = [run.events, run.labels, *run.between]
    run.send(0)
    with running(run.loop()):
        wait(lambda: len(run.answered()) == 10 and run.at_rest())
        for topic in topics:
            produce_unreadable(kafka, topic, 1)
        run.send(10)
        wait(lambda: len(run.answered()) == 20 and run.at_rest())
    with running(run.loop()):
        run.send(20)
        wait(lambda: run.answered() == list(range(30)) and run.at_rest())
    letters = places(letters_in(kafka, run.dead))
    assert [topic for topic, _, _, _ in letters] == sorted(topics)
    assert all(partition == 1 and last - first == 4 for _, partition, first, last in letters)
    assert run.rejected == ["bad_batch"] * 4


def test_reading_a_topic_to_its_end_passes_it(kafka: str, make_topics: MakeTopics) -> None:
    world = World(kafka, make_topics)
    world.send_raw(b"before")
    produce_unreadable(kafka, world.events)
    world.send_raw(b"behind")
    produce_unreadable(kafka, world.events)
    read: list[Message] = world.read(world.events)
    assert [each.value() for each in read] == [b"before", b"behind"]
