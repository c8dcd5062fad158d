"""A topic as a witness: it knows the anchors also where nobody has any offsets of the sink left."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs
from sink_world import World, stored, wait_for
from store_world import TRUSTED, appender, open_store, record
from tampering import Deed, do, empty, forge_and_sign, roll_back

from explain.store.anchors import SignedAnchor, export_line, parse_line, stored_anchors
from explain.store.checking.verification import Report, verify
from explain.store.database import Database
from explain.store.errors import TamperedError
from explain.store.people.queries import Query, Reader
from explain.store.tables import anchors
from explain.workers.witness_topic import Told, WitnessTopic, ensure_witness_topic
from streams.base.clock import now_ms
from streams.base.signing import Signer
from streams.kafka.group_notes import group_notes
from streams.kafka.records.consuming import read_to_end
from streams.kafka.records.publisher import Publisher
from streams.kafka.topics.topic_partitions import TopicError


class Watched:
    """A sink's world, with a topic of anchors."""

    def __init__(self, world: World, topic: str) -> None:
        self.world = world
        self.topic = topic
        self.admin = AdminClient(world.kafka.client_config())

    def witness(self, database: Database) -> WitnessTopic:
        return WitnessTopic(self.world.kafka, self.topic, database, TRUSTED)

    def store(self, folder: Path, *numbers: int, accepted_by: str = "") -> None:
        """Have a sink store records, and sign for them."""
        self.world.publish(*map(record, numbers))
        with open_store(folder) as database:
            sink = self.world.sink(database, accepted_by, self.witness(database))
            with self.world.sinking(database, sink):
                wait_for(lambda: {*map(record, numbers)} <= {*stored(database)})

    def grow(self, folder: Path, *numbers: int) -> None:
        """Store records under an anchor each, and write those to the topic, as a sink would."""
        with open_store(folder) as database:
            ours = appender(database, every=1, clock=now_ms)
            for number in numbers:
                ours.append([record(number)])
            witness = self.witness(database)
            witness.hear(Event())
            witness.pass_on()
            witness.close()

    def told(self, folder: Path) -> Told:
        with open_store(folder) as database:
            return self.witness(database).hear(Event())

    def report(self, folder: Path) -> Report:
        """What a verification finds that hears the topic only."""
        with open_store(folder) as database:
            told = self.witness(database).hear(Event())
            return verify(database, TRUSTED, witnesses=told.witnesses)

    def refuses(self, folder: Path, kind: str) -> None:
        """A sink does not start over the store."""
        with open_store(folder) as database:
            sink = self.world.sink(database, "", self.witness(database))
            with pytest.raises(TamperedError, match=f"{kind}: .*weir sink --accept-store"):
                sink.run(Event())

    def lines(self) -> list[bytes]:
        read = read_to_end(self.world.kafka, self.topic)
        return [message.value() or b"" for batch in read for message in batch]

    def write(self, *lines: bytes | None) -> None:
        with Publisher(self.world.kafka) as publisher:
            for line in lines:
                publisher.send(self.topic, line)
            publisher.flush()

    def forget_group(self) -> None:
        """Delete all that the sinks have noted beside their offsets."""
        for done in self.admin.delete_consumer_groups([self.world.group]).values():
            done.result(30)
        assert group_notes(self.world.kafka, self.world.group, self.world.topic, 30) == {}


@pytest.fixture
def watched(kafka: str, make_topics: Callable[..., list[str]]) -> Watched:
    world = World(kafka, make_topics("explanations", "dead-letters"))
    watched = Watched(world, f"witness-{world.group}")
    assert ensure_witness_topic(watched.admin, watched.topic, 1) == [watched.topic]
    assert ensure_witness_topic(watched.admin, watched.topic, 1) == []
    return watched


def exported(folder: Path) -> list[bytes]:
    with open_store(folder) as database, database.reading() as connection:
        return [export_line(each).rstrip() for each in stored_anchors(connection)]


@pytest.mark.parametrize(
    ("deed", "kind", "first"),
    [(roll_back, "truncated", 2), (empty, "replaced", 1), (forge_and_sign, "rewritten", 1)],
)
def test_what_is_done_to_store_and_notes_together_is_found(
    watched: Watched, tmp_path: Path, deed: Deed, kind: str, first: int
) -> None:
    watched.store(tmp_path, *range(10))
    watched.grow(tmp_path, *range(10, 20))
    assert watched.report(tmp_path).whole
    assert watched.lines() == exported(tmp_path)
    do(tmp_path, deed)
    watched.forget_group()
    with open_store(tmp_path) as database:
        assert verify(database, TRUSTED).whole  # by itself
        before = stored(database)
    (fault,) = watched.report(tmp_path).faults
    assert (fault.part, fault.kind, fault.sequence) == ("witness", kind, first)
    watched.world.publish(record(20))
    watched.refuses(tmp_path, kind)
    with open_store(tmp_path) as database:
        assert stored(database) == before
        # Nor does one hide it that does not ask, and signs the next numbers.
        careless = appender(database, every=1, clock=now_ms)
        careless.append([record(number) for number in range(30, 50)])
    assert [each.part for each in watched.report(tmp_path).faults] == ["witness"]


def test_whoever_writes_there_without_a_key_makes_noise(watched: Watched, tmp_path: Path) -> None:
    watched.grow(tmp_path, 0)
    (line,) = watched.lines()
    stranger = Signer(Ed25519PrivateKey.generate())
    theirs = parse_line(line)
    anchor = structs.replace(theirs, body=theirs.body.replace(b'"number":1', b'"number":7'))
    noise = [
        b"",
        None,
        b"[]",
        b"\xff" * 1_000,
        export_line(anchor),  # its signature is not of these bytes
        export_line(structs.replace(anchor, signature=stranger.sign(anchor.body))),
        export_line(as_key(anchor, stranger)),
        line.replace(b'"number":1', b'"number":' + b"9" * 30),
        line.replace(b'"number":1', b'"number":-1'),
        line.replace(b'"number":1', b'"number":0'),
    ]
    watched.write(*noise, line, line)
    # What stands behind a transaction that is never finished is heard all the same.
    open_ended = Producer(
        watched.world.kafka.producer_config(transactional_id=f"noise-{watched.topic}")
    )
    open_ended.init_transactions(30)
    open_ended.begin_transaction()
    open_ended.produce(watched.topic, b"noise")
    assert open_ended.flush(30) == 0
    watched.store(tmp_path, *range(20))
    told = watched.told(tmp_path)
    assert [each.anchor for each in told.witnesses] == [2]
    assert (told.passed_over, told.accepted) == (len(noise) + 1, 0)
    assert f"{len(noise) + 1} records in it are not signed by a trusted key" in str(told)
    assert watched.report(tmp_path).whole
    do(tmp_path, roll_back_to(1))
    (fault,) = watched.report(tmp_path).faults
    assert (fault.part, fault.kind, fault.sequence) == ("witness", "truncated", 2)
    open_ended.abort_transaction(30)


def as_key(signed: SignedAnchor, signer: Signer) -> SignedAnchor:
    """The same, signed by another in its own name."""
    body = signed.body.replace(signed.anchor.key.encode(), signer.id.encode())
    return structs.replace(signed, body=body, signature=signer.sign(body))


def test_a_start_writes_what_its_predecessor_had_no_time_to(
    watched: Watched, tmp_path: Path
) -> None:
    watched.grow(tmp_path, 0)
    with open_store(tmp_path) as database:
        killed = appender(database, every=1, clock=now_ms)
        killed.append([record(1)])
        killed.append([record(2)])
    assert len(watched.lines()) == 1
    watched.store(tmp_path, 3)
    assert watched.lines() == exported(tmp_path)
    assert len(watched.lines()) == 4
    with open_store(tmp_path) as database:
        forgetful = watched.witness(database)
        forgetful.pass_on()  # it does not know what is there
        forgetful.close()
    assert watched.lines() == 2 * exported(tmp_path)
    watched.grow(tmp_path, 4)
    assert watched.lines()[8:] == exported(tmp_path)[4:]
    assert watched.report(tmp_path).whole


def test_what_a_person_signed_is_written_by_the_sink(watched: Watched, tmp_path: Path) -> None:
    watched.store(tmp_path, 0, 1)
    with open_store(tmp_path) as database:
        sink = watched.world.sink(database, "", watched.witness(database))
        with watched.world.sinking(database, sink):
            wait_for(lambda: watched.world.waits == [])
            assert len(Reader(database, "eve").find(Query())) == 2
            wait_for(lambda: len(watched.lines()) == 2)
    assert watched.lines() == exported(tmp_path)


def test_a_backup_that_is_accepted_is_forgiven_once(watched: Watched, tmp_path: Path) -> None:
    watched.grow(tmp_path, *range(4))
    former = watched.lines()
    do(tmp_path, roll_back_to(1))
    watched.refuses(tmp_path, "truncated")
    watched.store(tmp_path, 50, accepted_by="ada")
    told = watched.told(tmp_path)
    assert (told.accepted, len(told.witnesses)) == (3, 1)
    assert watched.report(tmp_path).whole
    watched.store(tmp_path, 51)  # without being told again
    watched.write(*former)  # nor does it matter that somebody says it again
    assert watched.report(tmp_path).whole
    # Another time is not forgiven, also where what was accepted before is written behind it.
    accepted = watched.lines()[4]
    do(tmp_path, roll_back_to(2, records=1))
    watched.write(accepted)
    (fault,) = watched.report(tmp_path).faults
    assert (fault.part, fault.kind, fault.sequence) == ("witness", "truncated", 3)
    watched.refuses(tmp_path, "truncated")


def roll_back_to(anchor: int, records: int = 1) -> Deed:
    """To an anchor, which vouches for so many records."""

    def deed(raw: sqlite3.Connection) -> None:
        raw.execute("DELETE FROM weir_anchors WHERE number > ?", (anchor,))
        raw.execute("DELETE FROM weir_records WHERE sequence > ?", (records,))

    return deed


def test_both_databases_are_compared(watched: Watched, filled: Database) -> None:
    witness = watched.witness(filled)
    witness.pass_on()
    assert [each.anchor for each in witness.hear(Event()).witnesses] == [4]
    with filled.writing() as connection:
        connection.execute(anchors.delete().where(anchors.c.number > 2))
    assert [each.anchor for each in witness.hear(Event()).witnesses] == [2, 3, 4]
    witness.close()


def test_without_the_topic_no_sink_starts(watched: Watched, tmp_path: Path) -> None:
    with open_store(tmp_path) as database:
        missing = WitnessTopic(watched.world.kafka, "there-is-none", database, TRUSTED)
        with pytest.raises(
            TopicError, match=r"store.witness_topic: .*'there-is-none'.*weir topics"
        ):
            watched.world.sink(database, "", missing).run(Event())


def test_a_topic_that_takes_nothing_holds_nothing_up(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    set_cleanup(watched, "compact")  # such a topic refuses what has no key
    watched.world.publish(record(0))
    with open_store(tmp_path) as database:
        sink = watched.world.sink(database, "", watched.witness(database))
        with watched.world.sinking(database, sink):
            wait_for(lambda: stored(database) == [record(0)])
            assert len(Reader(database, "eve").find(Query())) == 1
            wait_for(lambda: "can't write anchors to" in caplog.text)
            watched.world.publish(record(1))
            wait_for(lambda: stored(database) == [record(0), record(1)])
            assert watched.lines() == []
            set_cleanup(watched, "delete")
            wait_for(lambda: bool(watched.lines()))
    assert watched.lines() == exported(tmp_path)


def set_cleanup(watched: Watched, policy: str) -> None:
    entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, watched.topic, incremental_configs=[entry])
    for done in watched.admin.incremental_alter_configs([resource]).values():
        done.result(30)
