"""Kafka as a witness: whatever is done to the store and its anchors together, it is found."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from sink_world import World, stored, wait_for
from store_world import TRUSTED, appender, open_store, record
from tampering import Deed, do, empty, forge, forge_and_sign, roll_back

from explain.store.checking.verification import Report, verify
from explain.store.errors import TamperedError
from explain.store.people.queries import Query, Reader, list_acts
from explain.workers.kafka_witness import witnesses_in
from streams.base.clock import now_ms
from streams.kafka.group_notes import group_notes


@pytest.fixture
def world(kafka: str, make_topics: Callable[..., list[str]]) -> World:
    return World(kafka, make_topics("explanations", "dead-letters"))


def notes(world: World) -> list[str]:
    return list(group_notes(world.kafka, world.group, world.topic, 30).values())


def store(world: World, folder: Path, *numbers: int) -> None:
    """Have a sink store records, sign for them and note that in Kafka."""
    world.publish(*map(record, numbers))
    with open_store(folder) as database, world.sinking(database):
        wait_for(lambda: {*map(record, numbers)} <= {*stored(database)})


def report(world: World, folder: Path) -> Report:
    witnesses = witnesses_in(notes(world))
    with open_store(folder) as database:
        return verify(database, TRUSTED, witnesses=witnesses)


@pytest.mark.parametrize(
    ("deed", "kind"), [(roll_back, "truncated"), (empty, "replaced"), (forge_and_sign, "rewritten")]
)
def test_what_is_done_to_store_and_anchors_together_is_found(
    world: World, tmp_path: Path, deed: Deed, kind: str
) -> None:
    store(world, tmp_path, *range(10))
    store(world, tmp_path, *range(10, 20))
    whole = report(world, tmp_path)
    assert (whole.whole, whole.anchors, whole.unanchored) == (True, 2, 0)
    do(tmp_path, deed)
    with open_store(tmp_path) as database:
        assert verify(database, TRUSTED).whole  # by itself
        (fault,) = report(world, tmp_path).faults
        assert (fault.part, fault.kind, fault.sequence) == ("witness", kind, 2)
        # A sink does not go on over it, whatever has come meanwhile.
        before = stored(database)
        world.publish(record(20))
        with pytest.raises(TamperedError, match=f"{kind}: .*weir sink --accept-store"):
            world.sink(database).run(Event())
        assert stored(database) == before
        # Nor does one hide it that does not ask, and signs the next numbers.
        careless = appender(database, every=1, clock=now_ms)
        careless.append([record(number) for number in range(30, 50)])
        assert [each.part for each in report(world, tmp_path).faults] == ["witness"]


def test_records_that_no_anchor_vouches_for_yet_are_witnessed(world: World, tmp_path: Path) -> None:
    store(world, tmp_path, 0)
    world.publish(*map(record, range(1, 8)))

    def forge_beside_the_sink() -> None:
        with open_store(tmp_path) as database, world.sinking(database) as failed:
            wait_for(lambda: world.committed() == 8)
            assert verify(database, TRUSTED).unanchored == 7
            do(tmp_path, forge)  # record 5 is one of those
            assert verify(database, TRUSTED).whole
            assert report(world, tmp_path).faults[0].kind == "rewritten"
            wait_for(lambda: bool(failed))  # before it signs for that

    with pytest.raises(TamperedError, match="not as it was a moment ago"):
        forge_beside_the_sink()


def test_what_a_person_did_is_noted_although_nothing_is_stored(
    world: World, tmp_path: Path
) -> None:
    store(world, tmp_path, 0, 1)
    with open_store(tmp_path) as database, world.sinking(database):
        wait_for(lambda: world.waits == [])
        assert len(Reader(database, "eve").find(Query())) == 2
        wait_for(lambda: witnesses_in(notes(world))[0].acts.sequence == 1)

        def take_back(raw: sqlite3.Connection) -> None:  # with the anchor that vouches for it
            raw.execute("DELETE FROM weir_acts")
            raw.execute("DELETE FROM weir_anchors WHERE number = 2")

    do(tmp_path, take_back)
    assert [each.part for each in report(world, tmp_path).faults] == ["witness"]


def test_a_backup_that_is_accepted_is_gone_on_over_and_the_store_says_by_whom(
    world: World, tmp_path: Path
) -> None:
    store(world, tmp_path, *range(10))
    store(world, tmp_path, *range(10, 20))
    do(tmp_path, roll_back)
    world.publish(record(20))
    with open_store(tmp_path) as database:
        with world.sinking(database, world.sink(database, "ada")):
            wait_for(lambda: record(20) in stored(database))
        ((_, act),) = list_acts(database)
        assert (act.kind, act.who) == ("accept", "ada")
        assert (act.what["anchor"], act.what["records"]) == (2, 20)
    assert report(world, tmp_path).whole
    store(world, tmp_path, 21)  # and it is accepted once
    assert report(world, tmp_path).whole


def test_nothing_is_accepted_while_another_sink_is_at_work(world: World, tmp_path: Path) -> None:
    store(world, tmp_path / "one", 0)
    with (
        open_store(tmp_path / "one") as one,
        open_store(tmp_path / "other") as other,
        world.sinking(one),
    ):
        wait_for(lambda: world.waits == [])
        with pytest.raises(KafkaException):
            world.sink(other, "ada").run(Event())
    assert report(world, tmp_path / "one").whole


def test_notes_that_are_none_of_ours_are_passed_over(world: World, tmp_path: Path) -> None:
    store(world, tmp_path, 0)
    consumer = Consumer(world.kafka.consumer_config(group_id=world.group))
    place = TopicPartition(world.topic, 0, world.committed(), "somebody else's")
    consumer.commit(offsets=[place], asynchronous=False)
    consumer.close()
    assert notes(world) == ["somebody else's"]
    assert report(world, tmp_path).whole
    store(world, tmp_path, 1)
    assert len(witnesses_in(notes(world))) == 1
