"""A group whose offsets are older than what it answered, or gone: nothing is answered twice.

So they are where the group's coordinator lost what was committed last, with its broker. It happens
to a start, and to whoever is given a partition while others are at work.
"""

import threading
from collections.abc import Callable
from contextlib import closing
from time import monotonic, sleep

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from copy_task import copying
from counting import PARTITIONS, CountingWorld, MakeTopics
from loop_world import World, running, wait
from test_lost_positions_shared import send_to

from streams.kafka.client import KafkaSettings
from streams.kafka.cluster_watch import passes
from streams.kafka.records.consuming import read_to_end
from streams.loop.position_check import PositionCheck
from streams.loop.settings import LoopSettings

AfterCheck = Callable[[Callable[[], None]], None]


@pytest.fixture
def positions(make_topics: MakeTopics) -> str:
    (topic,) = make_topics("positions", config={"cleanup.policy": "compact"})
    return topic


@pytest.fixture
def after_check(monkeypatch: pytest.MonkeyPatch) -> AfterCheck:
    """Lets something happen between the next check of a start and its joining the group."""

    def later(do: Callable[[], None]) -> None:
        run = PositionCheck.run

        def then(self: PositionCheck, stop: threading.Event, patience_s: float) -> None:
            run(self, stop, patience_s)
            monkeypatch.undo()
            do()

        monkeypatch.setattr(PositionCheck, "run", then)

    return later


def set_offsets(kafka: str, group: str, topic: str, partitions: int, offset: int) -> None:
    with closing(Consumer({"bootstrap.servers": kafka, "group.id": group})) as consumer:
        places = [TopicPartition(topic, each, offset) for each in range(partitions)]
        consumer.commit(offsets=places, asynchronous=False)


def test_an_offset_is_not_believed_while_the_log_is_away() -> None:
    """Just after a broker's start its topics may have no leader, and offsets be lost."""
    check = PositionCheck(
        KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        group="g",
        topics=["events"],
        log_topic="positions",
        tolerant=False,
    )

    def away(since: float) -> None:
        raise ValueError("there is no topic 'positions'")

    check._reader.read = away  # type: ignore[method-assign, assignment]
    with pytest.raises(KafkaException, match="no topic 'positions'") as error:
        check.believed(TopicPartition("events", 0, 5), 0.0)
    assert passes(error.value)


@pytest.mark.parametrize("tolerant", [False, True])
def test_an_old_offset_is_not_believed_while_a_transaction_hides_the_log(
    kafka: str, make_topics: MakeTopics, positions: str, tolerant: bool
) -> None:
    (events,) = make_topics("events")
    group = f"{events}-group"
    check = PositionCheck(
        KafkaSettings(bootstrap_servers=kafka),
        group=group,
        topics=[events],
        log_topic=positions,
        longest_transaction_s=0.1,
        tolerant=tolerant,
    )
    check.run(threading.Event(), 1.0)
    place = (events, 0)

    def note(producer: Producer, offset: int) -> None:
        assert check.log is not None
        made = check.log.of([TopicPartition(*place, offset)])
        producer.produce(positions, made.values[0], made.keys[0])
        assert producer.flush(30) == 0

    note(Producer({"bootstrap.servers": kafka}), 5)
    hung = Producer(
        {"bootstrap.servers": kafka, "transactional.id": events, "transaction.timeout.ms": 600_000}
    )
    hung.init_transactions(30)
    hung.begin_transaction()
    hung.produce(positions, b"of others", b"others")
    assert hung.flush(30) == 0
    note(Producer({"bootstrap.servers": kafka}), 7)
    with pytest.raises(KafkaException, match="a transaction is open in"):
        check.believed(TopicPartition(*place, 7), monotonic())
    sleep(0.2)
    assert check.believed(TopicPartition(*place, 7), monotonic()).offset == 7
    if tolerant:
        assert check.believed(TopicPartition(*place, 3), monotonic()).offset == 5
    else:
        with pytest.raises(KafkaException, match="hides where it was last") as error:
            check.believed(TopicPartition(*place, 3), monotonic())
        assert passes(error.value)
    hung.abort_transaction(30)
    assert check.believed(TopicPartition(*place, 3), monotonic()).offset == 7


@pytest.mark.parametrize("when", ["before the start", "after the check"])
def test_a_fused_scorer_answers_nothing_twice(
    kafka: str,
    make_topics: MakeTopics,
    positions: str,
    after_check: AfterCheck,
    caplog: pytest.LogCaptureFixture,
    when: str,
) -> None:
    world = World(kafka, make_topics)

    def forget() -> None:
        set_offsets(kafka, world.group, world.events, PARTITIONS, 3)

    world.send(200)
    with running(world.loop(position_log=positions)):
        wait(lambda: world.answered() == 200)
    if when == "before the start":
        forget()
    else:
        after_check(forget)
    world.send(40)
    with running(world.loop(position_log=positions)):
        wait(lambda: world.answered() >= 240)
    world.check()
    assert f"has an old offset of {world.events}[0], 3: the log {positions} says" in caplog.text
    assert all(offset >= 60 for offset in world.committed())


def test_a_fused_scorer_misses_no_offset_that_goes_after_its_check(
    kafka: str,
    make_topics: MakeTopics,
    positions: str,
    after_check: AfterCheck,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(kafka, make_topics)
    admin = AdminClient({"bootstrap.servers": kafka})
    world.send(40)
    with running(world.loop(position_log=positions)):
        wait(lambda: world.answered() == 40)
    after_check(lambda: admin.delete_consumer_groups([world.group])[world.group].result(30))
    world.send(40)
    with running(world.loop(position_log=positions)):
        wait(lambda: world.answered() >= 80)
    world.check()
    assert f"the consumer group {world.group} has lost its offset of {world.events}[" in caplog.text


@pytest.mark.parametrize("when", ["before the start", "after the check"])
def test_a_stateless_worker_answers_nothing_twice(
    kafka: str, make_topics: MakeTopics, positions: str, after_check: AfterCheck, when: str
) -> None:
    counting = CountingWorld.make(kafka, make_topics)

    def forget() -> None:
        set_offsets(kafka, counting.group, counting.source, PARTITIONS, 3)

    counting.send(48)
    with running(counting.worker("a", position_log=positions)):
        wait(lambda: counting.answered() == 48)
    if when == "before the start":
        forget()
    else:
        after_check(forget)
    counting.send(24)
    with running(counting.worker("a", position_log=positions)):
        wait(lambda: counting.answered() >= 72)
    counting.check()


@pytest.mark.parametrize("when", ["before the start", "after the check"])
def test_a_staged_worker_answers_nothing_twice(
    kafka: str, make_topics: MakeTopics, positions: str, after_check: AfterCheck, when: str
) -> None:
    source, target = make_topics("source", "target")
    settings = KafkaSettings(bootstrap_servers=kafka)

    def copied() -> int:
        return sum(len(batch) for batch in read_to_end(settings, target))

    def run_until(count: int) -> None:
        loop = LoopSettings(group=source, topology="staged")
        worker = copying(settings, loop, source, target, position_log=positions)
        with running(worker):
            wait(lambda: worker.ready and copied() >= count)

    for _ in range(5):
        send_to(kafka, source, 0)
    run_until(5)
    if when == "before the start":
        set_offsets(kafka, source, source, 1, 2)
    else:
        after_check(lambda: set_offsets(kafka, source, source, 1, 2))
    send_to(kafka, source, 0)
    run_until(6)
    assert copied() == 6
