"""What the store reads of an explanation record: the keys it is found by, and no more."""

from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from explain.record.record import RecordError
from streams.events.json_diagnosis import UNREADABLE

_INDEXED = 200
"""Characters of a text that are indexed: PostgreSQL refuses an index row of 2,700 bytes."""

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Event(msgspec.Struct):
    id: int | str
    key: str | None
    time: _Int64


class _Decision(msgspec.Struct):
    outcome: Literal["approve", "review", "decline"]


class _Model(msgspec.Struct):
    package: str


class _Record(msgspec.Struct):
    schema: Annotated[str, msgspec.Meta(pattern="^weir[.]explanation/[0-9]+$")]
    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    event: _Event
    decision: _Decision
    model: _Model


_decode = msgspec.json.Decoder(_Record).decode


class Keys(NamedTuple):
    """What a record is found by; the names are those of the table's columns."""

    id: str
    event_id: str
    event_key: str
    event_time: int
    outcome: str
    package: str


def keys_of(record: bytes) -> Keys:
    """Read the keys of a record.

    Raises:
        RecordError: it is none; the message says what is wrong.
    """
    try:
        read = _decode(record)
    except UNREADABLE as error:
        raise RecordError(f"no explanation record: {error}") from error
    event = read.event
    return Keys(
        read.id,
        index_text(event.id),
        index_text(event.key or ""),
        event.time,
        read.decision.outcome,
        index_text(read.model.package),
    )


def index_text(value: Any) -> str:
    """A text as it is indexed: its beginning, and no NUL, which PostgreSQL can't store."""
    return str(value)[:_INDEXED].replace("\0", "\ufffd")
