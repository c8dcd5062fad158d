"""State after a start or a failure: snapshots, what lies after them, and what may be missing."""

import os
from time import sleep
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from loop_world import PARTITIONS, MakeTopics, Running, World, running, wait
from running_sum import RunningSum

from streams.loop.fused.loop import FusedLoop
from streams.loop.fused.restorer import MissingHistoryError
from streams.snapshots import Pointer, newest_pointer
from streams.transactions.outcome import Outgoing

OFTEN = {"every_events": 200, "every": "1h"}


class SnapshotWorld(World):
    """A world whose loops take snapshots."""

    def __init__(self, kafka: str, make_topics: MakeTopics) -> None:
        super().__init__(kafka, make_topics)
        (self.snapshots,) = make_topics("snapshots", config={"cleanup.policy": "compact,delete"})

    def loop(self, task: RunningSum | None = None, **settings: Any) -> FusedLoop:
        chosen = {"snapshots": OFTEN, "snapshot_topic": self.snapshots}
        return super().loop(task, **(chosen | settings))

    def pointer(self) -> Pointer | None:
        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": self.group})
        try:
            places = [TopicPartition(self.events, partition) for partition in range(PARTITIONS)]
            return newest_pointer(each.metadata for each in consumer.committed(places, timeout=30))
        finally:
            consumer.close()

    def run_until_snapshot(self, task: RunningSum | None = None) -> None:
        """Answer events until a new snapshot is known to the group."""
        before = self.pointer()
        with running(self.loop(task)):
            while self.pointer() == before:
                self.send(100)
                sleep(0.1)


@pytest.fixture
def world(kafka: str, make_topics: MakeTopics) -> SnapshotWorld:
    return SnapshotWorld(kafka, make_topics)


def answer_everything(world: SnapshotWorld, **settings: Any) -> RunningSum:
    """Start once more and answer 50 further events."""
    task = RunningSum(world.answers)
    with running(world.loop(task, **settings)) as runner:
        wait(lambda: runner.loop.ready)
        world.send(50)
        wait(lambda: world.answered() >= world.sent)
    return task


def test_a_start_loads_the_snapshot_and_reads_only_what_came_after(world: SnapshotWorld) -> None:
    world.send(1_000)
    for lap in range(4):
        task = RunningSum(world.answers)
        world.run_until_snapshot(task)
        assert task.loads == (lap > 0)
        if lap:
            assert task.restored < world.sent / 2
    pointer = world.pointer()
    assert pointer is not None
    assert pointer.sequence >= 4
    answer_everything(world)
    world.check()


def test_the_stream_goes_on_while_a_snapshot_is_written(world: SnapshotWorld) -> None:
    """A snapshot that would take minutes holds up neither the answers nor the end."""
    task = RunningSum(world.answers)
    task.ballast = bytes(30_000_000)
    slow = {"every_events": 1, "every": "1h", "max_bytes_per_second": 100_000}
    with running(world.loop(task, snapshots=slow)):
        world.send(2_000)
        wait(lambda: world.answered() == 2_000)
        wait(lambda: len(world.read(world.snapshots)) >= 2)
    world.check()
    assert world.pointer() is None
    assert answer_everything(world).loads == 0
    world.check()


@pytest.mark.parametrize("harm", ["value", "manifest", "tombstone", "pointer", "deleted"])
def test_a_damaged_snapshot_is_rebuilt_from_input(world: SnapshotWorld, harm: str) -> None:
    world.run_until_snapshot()
    pointer = world.pointer()
    assert pointer is not None
    messages = {message.offset(): message for message in world.read(world.snapshots)}
    if harm == "deleted":
        admin = AdminClient({"bootstrap.servers": world.kafka})
        upto = [TopicPartition(world.snapshots, 0, pointer.first + 1)]
        for deleted in admin.delete_records(upto).values():
            deleted.result(30)
    else:
        _write_over(world, pointer, messages, harm)
    task = answer_everything(world)
    assert task.loads == 0
    assert task.restored + task.committed_events == world.sent
    world.check()


def _write_over(
    world: SnapshotWorld, pointer: Pointer, messages: dict[int, Any], harm: str
) -> None:
    """Write damaged copies behind the snapshot, and commit a pointer to them."""
    producer = Producer({"bootstrap.servers": world.kafka})
    written: list[int] = []
    for offset in range(pointer.first, pointer.last + 1):
        message, value = messages[offset], messages[offset].value()
        last = offset == pointer.last
        if (harm == "value" and not last) or (harm == "manifest" and last):
            value = value[:-2] + b"!!"
        elif harm == "tombstone" and last:
            value = None
        producer.produce(
            world.snapshots,
            value,
            message.key(),
            0,
            headers=message.headers(),
            on_delivery=lambda _, sent: written.append(sent.offset()),
        )
    assert producer.flush(30) == 0
    first, last = min(written), max(written)
    damaged = Pointer(pointer.sequence + 1, 0, first, last + (100 if harm == "pointer" else 0))
    consumer = Consumer({"bootstrap.servers": world.kafka, "group.id": world.group})
    places = [TopicPartition(world.events, partition) for partition in range(PARTITIONS)]
    committed = [
        TopicPartition(each.topic, each.partition, each.offset, damaged.metadata())
        for each in consumer.committed(places, timeout=30)
    ]
    consumer.commit(offsets=committed, asynchronous=False)
    consumer.close()


def test_state_of_another_schema_is_rebuilt_from_input(world: SnapshotWorld) -> None:
    task = RunningSum(world.answers)
    task.schema = b"sums of old"
    world.run_until_snapshot(task)
    task = answer_everything(world)
    assert task.loads == 0
    assert task.restored + task.committed_events == world.sent
    world.check()


def test_offsets_that_were_set_back_by_hand_are_obeyed(world: SnapshotWorld) -> None:
    world.run_until_snapshot()
    consumer = Consumer({"bootstrap.servers": world.kafka, "group.id": world.group})
    places = [TopicPartition(world.events, partition, 0) for partition in range(PARTITIONS)]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()
    task = RunningSum(world.answers)
    with running(world.loop(task)):
        wait(lambda: task.committed_events == world.sent)
    assert (task.loads, task.restored) == (0, 0)


def expire(world: World, offset: int) -> None:
    admin = AdminClient({"bootstrap.servers": world.kafka})
    places = [TopicPartition(world.events, partition, offset) for partition in range(PARTITIONS)]
    for deleted in admin.delete_records(places).values():
        deleted.result(30)


def test_expired_input_before_a_snapshot_is_not_missed(world: SnapshotWorld) -> None:
    world.run_until_snapshot()
    expire(world, 20)
    task = answer_everything(world)
    assert task.loads == 1
    world.check()


def test_expired_input_without_a_snapshot_is_an_error_or_a_choice(world: SnapshotWorld) -> None:
    world.send(400)
    with running(world.loop(snapshots={"enabled": False})):
        wait(lambda: world.answered() == 400)
    expire(world, 20)
    off = {"enabled": False}
    runner = Running(world.loop(snapshots=off))
    assert runner.ended(60)
    assert isinstance(runner.error, MissingHistoryError)
    assert f"{world.events}[0] before offset 20" in str(runner.error)
    assert "--on-missing-history warn" in str(runner.error)
    assert answer_everything(world, snapshots=off | {"on_missing_history": "warn"}).restored == 320


def test_expired_input_that_no_window_reaches_is_not_missed(world: SnapshotWorld) -> None:
    """Events are a quarter of a second apart, and windows look back 20 s."""
    world.send(400)
    with running(world.loop(snapshots={"enabled": False})):
        wait(lambda: world.answered() == 400)
    expire(world, 20)
    task = RunningSum(world.answers)
    task.memory_ms = 20_000
    with running(world.loop(task, snapshots={"enabled": False})) as runner:
        wait(lambda: runner.loop.ready)


def test_records_that_expire_unanswered_are_an_error(world: SnapshotWorld) -> None:
    world.send(400)
    with running(world.loop()):
        wait(lambda: world.answered() == 400)
    world.send(400)
    expire(world, 150)
    runner = Running(world.loop())
    assert runner.ended(60)
    assert isinstance(runner.error, MissingHistoryError)
    assert f"50 of {world.events}[0]" in str(runner.error)


@pytest.mark.parametrize("in_transaction", [False, True])
def test_the_record_that_fails_its_batch_is_told_apart(
    world: SnapshotWorld, make_topics: MakeTopics, in_transaction: bool
) -> None:
    """It fails when it is processed, or the broker refuses what it is answered with."""
    bad_topic, narrow = make_topics("bad", "narrow", config={"max.message.bytes": "2000"})
    task = RunningSum(world.answers, bad_topic)
    poison = {123, 777}
    if in_transaction:
        task.extra = lambda work: [
            Outgoing(narrow, [os.urandom(5_000)], [None], [0])
            for _ in poison & set(work.events.ids)
        ]
    else:
        task.fails_for = poison
    world.send(1_000)
    with running(world.loop(task, max_batch=100)):
        wait(lambda: world.answered() >= 998)
        wait(lambda: len(world.read(bad_topic)) >= 2)
        world.send(100)
        wait(lambda: world.answered() >= 1_098)
    assert task.resets == 1
    assert task.undone == len(task.aborts) >= 4
    answered = sorted(answer["id"] for answer in world.answers_read())
    assert answered == [i for i in range(1_100) if i not in poison]
    assert len(world.read(bad_topic)) == 2
    assert world.read(narrow) == []
    assert sum(world.committed()) == world.sent


def test_a_task_that_can_answer_nothing_condemns_nobody(world: SnapshotWorld) -> None:
    class Broken(RunningSum):
        def check(self) -> None:
            raise RuntimeError("the engine is gone")

    world.send(10)
    task = Broken(world.answers)
    task.fails_for = {3}
    runner = Running(world.loop(task))
    assert runner.ended(60)
    assert "the engine is gone" in str(runner.error)
    assert world.committed() == [-1001] * PARTITIONS


def test_the_protocol_of_kip_848(world: SnapshotWorld) -> None:
    first = Running(world.loop(group_protocol="consumer"))
    world.send(300)
    wait(lambda: world.answered() == 300)
    with running(world.loop(group_protocol="consumer")) as second:
        wait(lambda: first.ended(0.1))
        wait(lambda: second.loop.ready)
        world.send(100)
        wait(lambda: world.answered() >= world.sent)
    world.check()
