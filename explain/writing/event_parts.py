"""Which event a record is of: by a token and a sealed place, where a key ring is kept."""

from collections.abc import Callable

from msgspec.structs import replace

from explain.errors import ExplainError
from explain.record.parts import EventPart
from explain.record.record import Record
from explain.writing.flagged import FlaggedEvents
from explain.writing.key_ring import KeyRing

EventParts = Callable[[FlaggedEvents, int], EventPart]
"""What a record says of which event it is of: of one among several, by its number, from 0."""


class SealedPlaceError(ExplainError):
    """No key opens the place of a record's event."""


def event_parts(ring: KeyRing | None, field: str) -> EventParts:
    """Return what makes this part of records; it raises `KeyRingError` as `KeyRing.subject` does.

    Args:
        ring: None leaves the token out, and the place open.
        field: the key of events, of which the ring's subjects are.
    """

    def part(events: FlaggedEvents, i: int) -> EventPart:
        partition, offset = events.partition, int(events.offsets[i])
        event = EventPart(
            id=events.ids[i],
            key=None,
            topic=events.topic,
            partition=partition,
            offset=offset,
            time=int(events.times[i]),
            arrived=None,
            explained=None,
        )
        if ring is None:
            return event
        subject = ring.subject(field, events.keys[i])
        sealed = subject.seal(events.topic, partition, offset)
        return replace(event, key=subject.token, partition=None, offset=None, place=sealed)

    return part


def opened(record: Record, ring: KeyRing) -> Record:
    """A record that has its event's partition and offset beside the sealed place, to be shown.

    Raises:
        SealedPlaceError: no key of the ring opens it.
    """
    event = record.event
    if event.place is None:
        return record
    place = ring.open_place(event.topic, event.place)
    if place is None:
        raise SealedPlaceError(
            f"record {record.id}: no key in {ring.path} opens the place of its event: the key was "
            "erased, or the record was made with another key ring"
        )
    partition, offset = place
    return replace(record, event=replace(event, partition=partition, offset=offset))
