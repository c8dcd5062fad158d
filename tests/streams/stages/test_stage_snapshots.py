"""Snapshots of stages: what is refused, what is missing, and who may write one."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from hypothesis import given
from hypothesis import strategies as st
from staged_world import LABELS, World
from test_staged_network import CONTRACT, TABLES, plan_of, random_sources

from streams.features.window_settings import WindowSettings
from streams.intake.position import Position
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.loop.fused.restorer import MissingHistoryError
from streams.loop.fused.task import StateMismatchError
from streams.snapshots import Pointer, SnapshotSettings
from streams.snapshots.senders import MemberSender
from streams.snapshots.writer import SnapshotWriter, observe_nothing
from streams.stages.common.messages import RowCodec, SourceProgress
from streams.stages.common.split import split_plan
from streams.stages.common.step import StagePosition, position_of, with_pointer
from streams.stages.entity.entity_stage import EntityStage
from streams.stages.entity.entity_task import EntityTask
from streams.stages.join.joiner import Joiner
from streams.stages.worker.stage_restorer import StageRestorer

WINDOWS = WindowSettings(allowed_lateness="1s")
KAFKA = KafkaSettings(bootstrap_servers="nobody:1")


@pytest.fixture(scope="module")
def world() -> World:
    """A world whose stages were written down after each of their transactions."""
    rng = np.random.default_rng(5)
    world = World(plan_of(TABLES), WINDOWS, random_sources(rng, 80), 2, rng, snapshots=1.0)
    world.run(0.3)
    return world


def views(dump: list[bytes]) -> list[memoryview]:
    return [memoryview(buffer) for buffer in dump]


def entity_place(world: World) -> tuple[str, int]:
    return next(place for place in world.dumps if "by-shop" in place[0])


def stage_of(world: World, **changes: Any) -> EntityStage:
    plan = split_plan(plan_of(changes.get("tables", TABLES)), "customer")
    part = next(part for part in plan.parts if part.entity == "shop")
    return EntityStage(
        CONTRACT,
        part=part,
        windows=changes.get("windows", WINDOWS),
        alignment=AlignmentSettings(),
        events=changes.get("events", world.events),
        labels=world.labels,
        enriched=world.names.enriched,
        now_ms=lambda: world.now,
    )


def test_workers_that_crash_go_on_from_snapshots(world: World) -> None:
    assert world.resumed > 20
    kept = {topic for topic, _ in world.dumps}
    assert kept == {*map(world.names.by_entity, world.targets), world.names.enriched}
    assert not any(topic == LABELS for topic in kept)


def test_a_snapshot_is_of_its_own_stage_only(world: World) -> None:
    place = entity_place(world)
    committed, (_, dump) = world.committed[place], world.dumps[place][-1]
    stage_of(world).begin(committed, views(dump))
    others = [
        stage_of(world, tables=[each for each in TABLES if each["name"] != "shop last"]),
        stage_of(world, windows=WindowSettings(allowed_lateness="2s")),
        stage_of(world, events=world.events - 1),
    ]
    for other in others:
        with pytest.raises(StateMismatchError):
            other.begin(committed, views(dump))
    # Sources that have got partitions since are no others.
    stage_of(world, events=world.events + 1).begin(committed, views(dump))
    joins = next(dumps for (topic, _), dumps in world.dumps.items() if "enriched" in topic)
    with pytest.raises(StateMismatchError, match="other features, another version, or other"):
        stage_of(world).begin(committed, views(joins[-1][1]))
    join = Joiner(CONTRACT, world.plan, WINDOWS, 0)
    with pytest.raises(StateMismatchError, match="other features, another version, or other"):
        join.begin(StagePosition(0, "00"), views(dump))


def test_a_partition_that_has_come_far_is_not_waited_for_after_a_restore() -> None:
    """What the sources had said before the snapshot is not said again."""
    (part,) = split_plan(plan_of(TABLES[:1]), "customer").parts
    codec = RowCodec(CONTRACT, part.fields, part.digest)

    def record(offset: int, time: int) -> bytes:
        row = codec.new_row(offset, time, time, time, None, offset, "shop")
        (value,) = codec.encode([row], SourceProgress(0, offset + 1, time, False))
        return value

    def stage() -> EntityStage:
        return EntityStage(
            CONTRACT,
            part=part,
            windows=WINDOWS,
            alignment=AlignmentSettings(),
            events=2,
            labels=0,
            enriched="enriched",
            now_ms=lambda: 10**15,
            steady_ms=lambda: 0,
        )

    (far,) = codec.encode([], SourceProgress(1, 7, 2_000, False))
    log = [far, record(0, 1_000), record(1, 1_500)]
    undisturbed = stage()
    undisturbed.feed(enumerate(log[:2]))
    assert undisturbed.take(10) is not None
    undisturbed.commit()
    restored = stage()
    restored.begin(undisturbed.settled, views([bytes(each) for each in undisturbed.dump()]))
    assert (restored.next_offset, restored.ready, restored.reached) == (2, True, 2_000)
    answers = []
    for each in (undisturbed, restored):
        each.feed([(2, log[2])])
        step = each.take(10)
        assert step is not None, "it waits for a partition that has come further"
        answers.append([(out.values, out.partitions) for out in step.outgoing])
    assert answers[0] == answers[1]


@given(data=st.data())
def test_what_is_no_snapshot_is_refused(world: World, data: st.DataObject) -> None:
    place = entity_place(world)
    dump = world.dumps[place][-1][1]
    cut = data.draw(st.integers(0, len(dump) - 1))
    harmed = data.draw(
        st.sampled_from([dump[:cut], [*dump[:cut], b"", *dump[cut + 1 :]], [b"\xff", *dump[1:]]])
    )
    if [len(each) for each in harmed] != [len(each) for each in dump]:
        with pytest.raises(StateMismatchError):
            stage_of(world).begin(world.committed[place], views(harmed))


def test_a_snapshot_of_a_later_position_is_refused(world: World) -> None:
    for place, dumps in world.dumps.items():
        (first, _), (last, dump) = dumps[0], dumps[-1]
        if last == first:
            continue
        task = world.new_task(place)
        earlier = StagePosition(last - 1, world.committed[place].metadata)
        with pytest.raises(StateMismatchError, match="later position"):
            task.begin(earlier, views(dump))


def restore_from(world: World, first: int, **settings: Any) -> None:
    """Restore the stage without a snapshot, as if all before the offset `first` had expired."""
    place = entity_place(world)
    restorer = StageRestorer(
        KAFKA, SnapshotSettings(**settings), "snapshots", "group", lambda count: None
    )
    stage = stage_of(world)
    task = EntityTask(stage, dict)
    log = world.logs[place]
    restoring = restorer.start(place, task, world.committed[place], None, first)
    assert restoring.next_offset.result(0) == first
    stage.feed(enumerate(log[first:], first))
    stage.ended(len(log))
    assert task.ready
    restorer.complete(restoring)


def test_history_that_expired_is_an_error_or_a_choice(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    first = world.committed[entity_place(world)].offset - 1
    restore_from(world, 0)
    with pytest.raises(MissingHistoryError, match=rf"by-shop\[\d\] before offset {first}"):
        restore_from(world, first)
    assert "going on without" not in caplog.text
    restore_from(world, first, on_missing_history="warn")
    assert "going on without" in caplog.text


def test_records_that_expired_unanswered_are_an_error_whatever_is_chosen(world: World) -> None:
    first = world.committed[entity_place(world)].offset + 1
    for choice in ("fail", "warn"):
        with pytest.raises(MissingHistoryError, match=r"before they were answered: 1 of"):
            restore_from(world, first, on_missing_history=choice)


@given(
    own=st.sampled_from(["", "00", "moved to: weir", "x" * 3_000]),
    numbers=st.none() | st.tuples(*[st.integers(0, 2**62)] * 4),
)
def test_the_place_of_a_snapshot_goes_with_the_offset(own: str, numbers: Any) -> None:
    pointer = Pointer(*numbers) if numbers is not None else None
    position = StagePosition(7, own)
    text = with_pointer(position, pointer)
    assert position_of(TopicPartition("topic", 0, 7, text)) == (position, pointer)
    assert position_of(TopicPartition("topic", 0, -1001)) == (None, None)


def join(kafka: str, group: str, topic: str) -> Any:
    """A consumer that is about to join the group."""
    consumer: Any = Consumer(KafkaSettings(bootstrap_servers=kafka).consumer_config(group_id=group))
    consumer.subscribe([topic])
    return consumer


def test_a_snapshot_of_one_who_lost_the_group_comes_to_nothing(
    kafka: str, make_topics: Callable[..., list[str]]
) -> None:
    """Neither is it pointed to, nor can compaction prefer it to what a successor has written."""
    topic, snapshots = make_topics("source", "snapshots", partitions=1)
    settings = KafkaSettings(bootstrap_servers=kafka)
    group = f"group-{topic}"
    first = join(kafka, group, topic)
    wait(lambda: first.poll(0.1) or first.assignment())
    writer = SnapshotWriter(snapshots, 1, 50_000_000, observe_nothing)

    def write(sequence: int, member: Any) -> Pointer | None:
        writer.begin(
            f"{group}/{topic}/0",
            sequence,
            lambda: [b"state"],
            [Position(topic, 0, 9)],
            lambda: MemberSender(settings, f"{group}-snapshots", 30_000, member),
        )
        ended: list[Pointer | None] = []

        def finished() -> bool:
            first.poll(0.05)
            done, pointer = writer.finished()
            ended.extend([pointer] * done)
            return done

        wait(finished)
        return ended[0]

    member = first.consumer_group_metadata()
    whole = write(1, member)
    assert whole is not None
    assert (whole.sequence, whole.first, whole.last) == (1, 0, 1)
    second = join(kafka, group, topic)

    def both_are_in() -> bool:
        first.poll(0.05)
        second.poll(0.05)
        return len(members(settings, group)) == 2

    wait(both_are_in)
    assert write(2, member) is None
    records = [each for batch in read_to_end(settings, snapshots) for each in batch]
    assert [each.offset() for each in records] == [0, 1]
    first.close()
    second.close()
    writer.close()


def members(settings: KafkaSettings, group: str) -> list[Any]:
    """Who is in the group, once it has settled."""
    admin = AdminClient(settings.client_config())
    found = admin.describe_consumer_groups([group], request_timeout=30)[group].result()
    return list(found.members) if found.state.name == "STABLE" else []


def wait(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.02)
