"""A partition is held, and loses nothing, while a schema can't be had; the others go on."""

import pytest
from confluent_kafka import KafkaError
from framed_records import GOOD, NOW, OneSchema, avro_body, avro_schema, contract, frame

from streams.formats.framed import FramedDecoder
from streams.formats.registry import RegistryUnavailableError
from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.intake.time_merge import AlignmentSettings

SCHEMA = avro_schema()
LATER = 9
"""The id of the schema that can't be had at first."""


class Registry(OneSchema):
    """Knows all schemas but one, until that is there too."""

    def __init__(self):
        super().__init__("AVRO", SCHEMA)
        self.down = True
        self.asked = 0

    def schema(self, schema_id):
        self.asked += 1
        if self.down and schema_id == LATER:
            raise RegistryUnavailableError("down")
        return super().schema(schema_id)


class Record:
    """What an intake reads of a Kafka message."""

    def __init__(self, partition, offset, value=None, error=None):
        self._partition, self._offset, self._value, self._error = partition, offset, value, error

    def topic(self):
        return "events"

    def partition(self):
        return self._partition

    def offset(self):
        return self._offset

    def value(self):
        return self._value

    def timestamp(self):
        return 1, NOW

    def headers(self):
        return None

    def error(self):
        return self._error


def record(partition, offset, schema_id=1):
    event = GOOD | {"id": partition * 100 + offset}
    return Record(partition, offset, frame(schema_id, avro_body(SCHEMA, event)))


def end(partition, offset):
    return Record(partition, offset, error=KafkaError(KafkaError._PARTITION_EOF))


class World:
    def __init__(self, now=NOW):
        self.clock = 0
        self.registry = Registry()
        decoder = FramedDecoder(contract("avro"), self.registry, lambda: NOW)
        self.intake = Intake(
            *(contract("avro"), "events", None, AlignmentSettings()),
            lambda: now,
            lambda: self.clock,
            decoder=decoder,
        )
        self.intake.assign([Position("events", 0, 0), Position("events", 1, 0)])

    def taken(self):
        """Ids of events and places of bad records that are handed out, and the new positions."""
        ids, bad, positions = [], [], {}
        while (work := self.intake.take(100)) is not None:
            ids += work.events.ids
            bad += [(each.message.partition(), each.message.offset()) for each in work.bad]
            positions |= {each.partition: each.offset for each in work.positions}
        return ids, bad, positions


@pytest.fixture
def world():
    return World()


def test_a_held_partition_goes_on_where_it_stood(world):
    intake = world.intake
    first = [record(0, 0), Record(0, 1, b"bad"), record(0, 2, LATER), Record(0, 3, b"bad")]
    intake.feed([*first, end(0, 4), record(1, 0), end(1, 1)])
    assert intake.holding
    assert intake.queued() == {("events", 0): 4, ("events", 1): 1}  # the end counts as one
    assert world.taken() == ([0, 100], [(0, 1)], {0: 2, 1: 1})
    intake.feed([record(0, 4), record(1, 1), end(1, 2)])
    assert world.taken() == ([101], [], {1: 2})
    assert intake.positions() == {("events", 0): 2, ("events", 1): 2}
    world.registry.down = False
    asked = world.registry.asked
    intake.feed([])
    assert intake.holding
    assert world.registry.asked == asked  # not before its time
    world.clock += 1_000
    intake.feed([record(0, 5), end(0, 6)])
    assert not intake.holding
    assert world.taken() == ([2, 4, 5], [(0, 3)], {0: 6})


def test_a_condemned_record_before_a_held_one_is_condemned_once(world):
    intake = world.intake
    intake.reject_on_reread("events", 0, 1, "it failed")
    run = [record(0, 0), record(0, 1), record(0, 2), record(0, 3, LATER), record(0, 4)]
    intake.feed([*run, end(0, 5), end(1, 0)])
    assert world.taken() == ([0, 2], [(0, 1)], {0: 3})
    world.registry.down = False
    world.clock += 1_000
    intake.feed([])
    assert world.taken() == ([3, 4], [], {0: 5})


def test_what_is_held_is_forgotten_with_its_partition(world):
    world.intake.feed([record(0, 0, LATER)])
    assert world.intake.holding
    world.intake.assign([Position("events", 1, 0)])
    assert not world.intake.holding
    world.clock += 1_000
    world.intake.feed([record(0, 1), record(1, 0), end(1, 1)])
    assert world.taken() == ([100], [], {1: 1})


def test_a_first_record_that_must_wait(world):
    world.intake.feed([record(0, 0, LATER), record(1, 0), end(1, 1)])
    assert world.taken() == ([100], [], {1: 1})
    assert world.intake.positions()["events", 0] == 0


def test_history_waits_for_a_held_partition():
    world = World(now=NOW + 10**9)
    world.intake.feed([record(0, 0, LATER), record(1, 0), end(1, 1)])
    for _ in range(100):
        assert world.taken() == ([], [], {})
        world.clock += 300
        world.intake.feed([])
    world.registry.down = False
    world.clock += 300
    world.intake.feed([end(0, 1)])
    ids = world.taken()[0]
    world.clock += 2_000  # longer than `max_idle`
    assert sorted(ids + world.taken()[0]) == [0, 100]


def test_a_registry_that_comes_and_goes_has_each_record_decoded_once(world, monkeypatch):
    """Each time it is there for one more schema, and away again for the next."""
    monkeypatch.setattr("streams.intake.held_records._TRY_AT_ONCE", 10)
    read, tried = [], []
    read_run, decode = FramedDecoder._read_run, FramedDecoder.decode

    def note_read(self, reader, values, positions, arrived_ms):
        read.extend(positions)
        return read_run(self, reader, values, positions, arrived_ms)

    def note_tried(self, values, arrived_ms=None):
        tried.append(len(values))
        return decode(self, values, arrived_ms)

    def schema(schema_id):
        if schema_id > world.clock // 1_000:
            raise RegistryUnavailableError("down")
        return OneSchema("AVRO", SCHEMA).schema(schema_id)

    monkeypatch.setattr(FramedDecoder, "_read_run", note_read)
    monkeypatch.setattr(FramedDecoder, "decode", note_tried)
    monkeypatch.setattr(world.registry, "schema", schema)
    count, schemas = 400, 20
    world.intake.feed([record(0, i, 1 + i * schemas // count) for i in range(count)])
    ids = []
    for _ in range(schemas):
        world.clock += 1_000
        world.intake.feed([end(1, 0)])
        ids += world.taken()[0]
    assert ids == list(range(count))
    assert len(read) == count
    assert max(tried[1:]) <= 10
    assert sum(tried[1:]) <= count + 10 * schemas
    assert not world.intake.holding
