"""Which event a record is of: whoever has the subject's key can tell, and after that nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from answered import answered, writer_of
from msgspec.structs import replace
from records import EVENT
from scorer_desk import CONTRACT

from explain.lime.settings import ExplainSettings
from explain.record.reason_settings import ReasonSettings
from explain.record.record import Record, canonical, read, record_id
from explain.writing.event_parts import SealedPlaceError, opened
from explain.writing.flagged import FlaggedEvents
from explain.writing.key_ring import KeyRing
from explain.writing.reproduce import reproduce
from inference.packages.package import ModelPackage
from weir.reasons import open_catalogue

FAST = ExplainSettings(samples=128)
Place = tuple[int, int]


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[KeyRing]:
    with KeyRing.make(tmp_path / "ring") as ring:
        yield ring


def places(events: FlaggedEvents) -> list[Place]:
    return [(events.partition, offset) for offset in events.offsets.tolist()]


def test_a_record_that_is_made_again_has_the_same_bytes(model: ModelPackage, ring: KeyRing) -> None:
    with KeyRing(ring.path) as other:
        for events in answered(model, 30):
            written = writer_of(model, FAST, ring=ring).write(events)
            assert writer_of(model, FAST, ring=other).write(events) == written
            for (token, data), (partition, offset) in zip(written, places(events), strict=True):
                record = read(data)
                assert record.event.key == token
                assert record.schema == "weir.explanation/3"
                shown = opened(record, other).event
                assert (shown.partition, shown.offset) == (partition, offset)
                again = reproduce(data, model, 7, open_catalogue(ReasonSettings()))
                assert again.identical, "no key ring is needed for that"


def test_without_a_ring_the_place_stays_open(model: ModelPackage, ring: KeyRing) -> None:
    events = answered(model, 10)[0]
    records = [read(data) for _, data in writer_of(model, FAST).write(events)]
    assert [(each.event.partition, each.event.offset) for each in records] == places(events)
    assert {(each.schema, each.event.key) for each in records} == {("weir.explanation/1", None)}
    assert opened(records[0], ring) == records[0]


def test_a_record_of_before_with_its_token_is_made_again(model: ModelPackage) -> None:
    """They had a token and an open place, and are read and explained as long as they are kept."""
    _, data = writer_of(model, FAST).write(answered(model, 10)[0])[0]
    record = read(data)
    before = canonical(replace(record, event=replace(record.event, key="ab" * 32)))
    assert read(before).id == record.id
    again = reproduce(before, model, 7, open_catalogue(ReasonSettings()))
    assert (again.identical, again.differences) == (True, ())


class Attacker:
    """Has the events topic, the key ring as it is now, and all that the code does."""

    def __init__(self, events: list[FlaggedEvents], package: str, ring: KeyRing) -> None:
        self._events, self._package, self._ring = events, package, ring

    def ids(self) -> set[str]:
        """Of records that any event in the topic could have, by every way to make one."""
        found = set()
        for events in self._events:
            for key, (partition, offset) in zip(events.keys, places(events), strict=True):
                unsealed = replace(EVENT, topic=events.topic, partition=partition, offset=offset)
                found.add(record_id(unsealed, self._package))
                if self._ring.known(CONTRACT.key, key) is not None:
                    subject = self._ring.subject(CONTRACT.key, key)
                    sealed = subject.seal(events.topic, partition, offset)
                    part = replace(unsealed, partition=None, offset=None, place=sealed)
                    found.add(record_id(part, self._package))
        return found

    def opens(self, record: Record) -> bool:
        assert record.event.place is not None
        return self._ring.open_place(record.event.topic, record.event.place) is not None


def test_after_the_erasure_no_event_leads_to_a_record_and_no_record_to_an_event(
    model: ModelPackage, ring: KeyRing
) -> None:
    events = answered(model, 30)
    writer = writer_of(model, FAST, ring=ring)
    records = [read(data) for each in events for _, data in writer.write(each)]
    keys = [key for each in events for key in each.keys]
    attacker = Attacker(events, model.id, ring)
    ids = {record.id for record in records}
    assert ids <= attacker.ids(), "with the keys it is found"
    assert all(map(attacker.opens, records))

    erased = keys[0]
    assert ring.erase(CONTRACT.key, erased)
    gone = {record.id for key, record in zip(keys, records, strict=True) if key == erased}
    assert gone
    for came_back in (False, True):
        if came_back:
            ring.subject(CONTRACT.key, erased)
        assert attacker.ids() & ids == ids - gone
        for record in records:
            assert attacker.opens(record) == (record.id not in gone)


def test_a_place_that_nothing_opens_is_refused_with_the_reasons(
    model: ModelPackage, ring: KeyRing
) -> None:
    events = answered(model, 10)[0]
    _, data = writer_of(model, FAST, ring=ring).write(events)[0]
    ring.erase(CONTRACT.key, events.keys[0])
    record = read(data)
    says = f"record {record.id}: no key in {ring.path} opens .*: the key was erased, or .* another"
    with pytest.raises(SealedPlaceError, match=says):
        opened(record, ring)
