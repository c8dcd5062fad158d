"""Offsets that are gone, and topics that are made anew, truncated or widened: nothing is answered
twice or never, and whoever can't go on says where and why.
"""

import json
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from loop_world import PARTITIONS, MakeTopics, Running, World, running, wait

from streams.intake.position import Position
from streams.kafka.topics.topic_partitions import widen_topics
from streams.kafka.topics.topic_watch import PositionLostError
from streams.loop.fused.loop import FusedLoop
from streams.loop.fused.restorer import MissingHistoryError


@pytest.fixture
def world(kafka: str, make_topics: MakeTopics) -> World:
    return World(kafka, make_topics)


@pytest.fixture
def admin(kafka: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka})


@pytest.fixture
def new_loop(world: World, make_topics: MakeTopics) -> Callable[..., FusedLoop]:
    (positions,) = make_topics("positions", config={"cleanup.policy": "compact"})
    return lambda **settings: world.loop(position_log=positions, **settings)


def answer_all(world: World, loop: FusedLoop) -> None:
    with running(loop):
        wait(lambda: world.answered() >= world.sent)


def error_of(loop: FusedLoop) -> Exception:
    """What a loop ends with that has to end by itself."""
    runner = Running(loop)
    assert runner.ended(40), "it goes on"
    assert runner.error is not None
    return runner.error


def forget_group(admin: AdminClient, group: str) -> None:
    admin.delete_consumer_groups([group])[group].result(30)


def make_anew(admin: AdminClient, topic: str) -> None:
    admin.delete_topics([topic])[topic].result(30)

    def made() -> bool:
        try:
            admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
        except KafkaException:  # the old one is being deleted
            return False
        return True

    wait(made)


def test_a_group_that_was_forgotten_goes_on_where_it_was(
    world: World, admin: AdminClient, new_loop: Callable[..., FusedLoop]
) -> None:
    world.send(200)
    answer_all(world, new_loop())
    forget_group(admin, world.group)
    world.send(100)
    answer_all(world, new_loop())
    world.check()
    forget_group(admin, world.group)
    with running(new_loop()) as runner:  # nothing new to answer: what was committed is there again
        wait(lambda: runner.loop.ready)
        assert all(offset > 0 for offset in world.committed())
    world.check()


def test_one_offset_that_was_deleted_is_put_back(
    world: World, admin: AdminClient, new_loop: Callable[..., FusedLoop]
) -> None:
    world.send(200)
    answer_all(world, new_loop())
    with closing(Consumer({"bootstrap.servers": world.kafka, "group.id": world.group})) as consumer:
        consumer.commit(offsets=[TopicPartition(world.events, 1, 3)], asynchronous=False)
    forget_group(admin, world.group)
    with closing(Consumer({"bootstrap.servers": world.kafka, "group.id": world.group})) as consumer:
        kept = [TopicPartition(world.events, 0, world.sent // PARTITIONS)]
        consumer.commit(offsets=kept, asynchronous=False)
    world.send(40)
    answer_all(world, new_loop())
    world.check()


def test_a_topic_that_was_made_anew_while_nobody_read_it_is_refused_with_a_choice(
    world: World, admin: AdminClient, new_loop: Callable[..., FusedLoop]
) -> None:
    world.send(200)
    answer_all(world, new_loop())
    make_anew(admin, world.events)
    world.send(400)  # the new topic is longer than the old one was
    error = error_of(new_loop())
    assert isinstance(error, PositionLostError)
    assert f"topic {world.events!r} was deleted and made anew" in str(error)
    assert "--on-missing-history warn" in str(error)
    assert world.answered() == 200
    answer_all(world, new_loop(snapshots={"on_missing_history": "warn", "enabled": False}))
    assert sorted(a["id"] for a in world.answers_read()) == list(range(600))
    answer_all(world, new_loop())  # what is committed is of the new one now


def test_an_offset_that_was_committed_for_a_topic_made_anew_is_not_believed(
    world: World, admin: AdminClient, new_loop: Callable[..., FusedLoop]
) -> None:
    """Such as by a process that had not noticed yet, or by whoever sets offsets."""
    world.send(200)
    answer_all(world, new_loop())
    make_anew(admin, world.events)
    world.send(100)
    with closing(Consumer({"bootstrap.servers": world.kafka, "group.id": world.group})) as consumer:
        places = [TopicPartition(world.events, each, 5) for each in range(PARTITIONS)]
        consumer.commit(offsets=places, asynchronous=False)
    assert isinstance(error_of(new_loop()), PositionLostError)
    answer_all(world, new_loop(snapshots={"on_missing_history": "warn", "enabled": False}))
    assert sorted(a["id"] for a in world.answers_read()) == list(range(300))


def test_a_topic_that_is_made_anew_under_a_loop_ends_it(
    world: World, admin: AdminClient, new_loop: Callable[..., FusedLoop]
) -> None:
    world.send(200)
    runner = Running(new_loop())
    wait(lambda: world.answered() >= world.sent)
    make_anew(admin, world.events)
    assert runner.ended(40), "it goes on"
    assert isinstance(runner.error, PositionLostError)
    assert world.events in str(runner.error)
    world.send(100)
    assert isinstance(error_of(new_loop()), PositionLostError)
    answer_all(world, new_loop(snapshots={"on_missing_history": "warn", "enabled": False}))
    assert sorted(a["id"] for a in world.answers_read()) == list(range(300))


def test_a_group_that_is_behind_the_end_of_a_partition_is_refused(
    world: World, admin: AdminClient, new_loop: Callable[..., FusedLoop]
) -> None:
    world.send(40)
    answer_all(world, new_loop())
    with closing(Consumer({"bootstrap.servers": world.kafka, "group.id": world.group})) as consumer:
        consumer.commit(offsets=[TopicPartition(world.events, 2, 1_000)], asynchronous=False)
    error = error_of(new_loop())
    assert isinstance(error, PositionLostError)
    assert f"{world.events}[2] ends at offset 10" in str(error)
    with running(new_loop(snapshots={"on_missing_history": "warn", "enabled": False})) as runner:
        wait(lambda: runner.loop.ready)
    world.send(40)
    answer_all(world, new_loop())
    world.check()


def test_records_that_expire_before_they_are_read_end_a_running_loop(
    world: World, admin: AdminClient, new_loop: Callable[..., FusedLoop]
) -> None:
    """Retention overtakes a reader that is slow."""
    world.send(40)
    answer_all(world, new_loop())
    loop = new_loop()
    go_on = loop._go_on_from

    def expire(positions: list[Position]) -> None:
        place = TopicPartition(world.events, 0, 8)
        admin.delete_records([place])[place].result(30)
        go_on([Position(*each.place, min(each.offset, 5)) for each in positions])

    loop._go_on_from = expire  # type: ignore[method-assign]
    error = error_of(loop)
    assert isinstance(error, PositionLostError)
    assert f"{world.events}[0] has nothing at offset 5 any more" in str(error)


def test_records_that_expired_while_nobody_read_are_passed_where_that_is_wanted(
    world: World, admin: AdminClient, new_loop: Callable[..., FusedLoop]
) -> None:
    world.send(40)
    answer_all(world, new_loop())
    world.send(40)
    place = TopicPartition(world.events, 0, 14)
    admin.delete_records([place])[place].result(30)
    error = error_of(new_loop())
    assert isinstance(error, MissingHistoryError)
    assert f"4 of {world.events}[0]" in str(error)
    with running(new_loop(snapshots={"on_missing_history": "warn", "enabled": False})):
        wait(lambda: world.answered() == 76)


def test_offsets_that_were_set_forward_are_told(
    world: World, new_loop: Callable[..., FusedLoop], caplog: pytest.LogCaptureFixture
) -> None:
    world.send(40)
    answer_all(world, new_loop())
    world.send(40)
    with closing(Consumer({"bootstrap.servers": world.kafka, "group.id": world.group})) as consumer:
        consumer.commit(offsets=[TopicPartition(world.events, 2, 15)], asynchronous=False)
    with running(new_loop()):
        wait(lambda: world.answered() == 75)
    assert "set it forward, so 5 records in between are never answered" in caplog.text


def test_partitions_that_came_between_the_making_of_topics_and_the_reading_have_room(
    world: World, admin: AdminClient, new_loop: Callable[..., FusedLoop]
) -> None:
    """Nobody sees them come: they are there when the loop first looks."""
    admin.create_partitions([NewPartitions(world.events, PARTITIONS + 1)])[world.events].result(30)

    def widen() -> None:
        widen_topics(admin, [world.answers], PARTITIONS + 1, "the events have them")

    new = {"id": 0, "account": 999, "amount": 1, "at": 1_600_000_100_000}
    with running(new_loop(widen=widen)):
        world.send_raw(json.dumps(new).encode(), partition=PARTITIONS)
        wait(lambda: world.answered() == 1, 30)


def test_a_loop_whose_answers_have_no_topic_is_not_ready_and_names_it(
    world: World,
    admin: AdminClient,
    new_loop: Callable[..., FusedLoop],
    caplog: pytest.LogCaptureFixture,
) -> None:
    world.send(20)
    with running(new_loop(writes=[world.answers])) as runner:
        wait(lambda: runner.loop.ready and world.answered() == 20)
        admin.delete_topics([world.answers])[world.answers].result(30)
        wait(lambda: f"topic {world.answers!r} does not exist" in runner.loop.waits_for(), 10)
        assert f"topic {world.answers!r} does not exist any more" in caplog.text
        admin.create_topics([NewTopic(world.answers, PARTITIONS)])[world.answers].result(30)
        wait(lambda: runner.loop.ready, 10)
        world.send(30)
        wait(lambda: world.answered() == 30)


def test_partitions_that_are_added_are_read_once_there_is_room_for_their_answers(
    world: World, admin: AdminClient, new_loop: Callable[..., FusedLoop]
) -> None:
    world.send(100)

    def widen() -> None:
        widen_topics(admin, [world.answers], PARTITIONS + 2, "the events have them")

    with running(new_loop(widen=widen)) as runner:
        wait(lambda: world.answered() >= world.sent)
        admin.create_partitions([NewPartitions(world.events, PARTITIONS + 2)])[world.events].result(
            30
        )
        start = time.monotonic()
        wait(lambda: not runner.loop.ready, 10)
        new = {"id": world.sent, "account": 999, "amount": 1, "at": 1_600_000_100_000}
        world.send_raw(json.dumps(new).encode(), partition=PARTITIONS + 1)
        wait(lambda: world.answered() > world.sent, 30)
        assert time.monotonic() - start < 60  # and not after the client's five minutes
        world.send(50)
        wait(lambda: world.answered() > world.sent)
    answers = world.answers_read()
    assert sorted(a["id"] for a in answers) == sorted([*range(150), 100])
