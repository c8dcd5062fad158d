"""Dead letters: rejected records, as Kafka records that say what they were and what was wrong.

The value and the key are the original bytes, so that a dead letter can be read with any Kafka
tool and sent back as it is. All that Weir adds stands in headers of UTF-8 text whose names begin
with ``weir.``; the original headers follow them unchanged.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import NamedTuple

from streams.base.safe_text import safe_text
from streams.events.rejection import Reason, Rejected
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.message import Header, Message, headers_of

_PREFIX = "weir."
_HISTORY = "weir.history."
_NUMBER = re.compile("[0-9]{1,9}")
"""Of a rejection; a producer may have written anything in its place, of any length."""

# What Kafka adds to a record's own bytes, rounded up: the batch's header and the record's
# varints; and for each header the varints of its two lengths.
_RECORD_OVERHEAD = 128
_HEADER_OVERHEAD = 10
_MARKS = 256  # the headers that say what was cut: truncated_from, sha256 and dropped


class Record(NamedTuple):
    """What a producer needs to send a record."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter that was read back.

    Attributes:
        key, value, headers: the original record's; see ``truncated_from`` and ``dropped``.
        reason: one of `Reason`, or of a newer version's.
        field: the JSON field at fault, ``None`` where it is the record as a whole.
        detail: what was wrong, for a human.
        topic, partition, offset: where the original record stood.
        timestamp_ms: the original record's Kafka timestamp, UTC milliseconds; ``None`` if it had
            none.
        at_ms: when it was rejected, UTC milliseconds.
        version: the version of Weir that rejected it.
        truncated_from: the original value's size in bytes, where ``value`` is only its beginning.
        sha256: the hexadecimal SHA-256 of the whole original value, where it was truncated.
        dropped: what of the record did not fit into the dead-letter topic besides: ``"headers"``
            or ``"headers,key"``; ``""`` if nothing; ``"records"`` of a batch that can't be read.
        last_offset: of a batch that can't be read, whose first offset is ``offset``; else None.
        history: the ``weir.`` headers of earlier rejections of the same record, the oldest first,
            under names such as ``"reason"``; filled when a letter was requeued and rejected again.
        own_headers: all ``weir.`` headers as they stand in the letter.
    """

    key: bytes | None
    value: bytes | None
    headers: list[Header]
    reason: str
    field: str | None
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    at_ms: int
    version: str
    truncated_from: int | None
    sha256: str | None
    dropped: str
    last_offset: int | None
    history: list[Mapping[str, str]]
    own_headers: list[Header]

    @property
    def attempts(self) -> int:
        """How often the record has been rejected."""
        return 1 + len(self.history)

    @property
    def is_partial(self) -> bool:
        """Whether the letter holds only a part of its record."""
        return self.truncated_from is not None or bool(self.dropped)

    def requeue(self) -> Record:
        """Return the record to send to ``topic`` again, with this rejection in its headers.

        Raises:
            ValueError: the letter does not hold the whole record.
        """
        if self.is_partial:
            raise ValueError(
                f"the dead letter of {self.topic}[{self.partition}]@{self.offset} holds only a part"
                " of its record: read the original at that offset"
            )
        return Record(self.key, self.value, [*self.own_headers, *self.headers])


def dead_letter(message: Message, rejected: Rejected, now_ms: int, max_bytes: int) -> Record:
    """Return the dead letter of a rejected message.

    Headers that an earlier rejection left, in a record that was requeued, are kept under
    ``weir.history.N.``, where N counts from 1.

    Args:
        message: the rejected record.
        rejected: why.
        now_ms: the clock, UTC milliseconds.
        max_bytes: the size in bytes that the dead letter may have with all its parts, the least
            of the topic's ``max.message.bytes`` and the producer's ``message.max.bytes``. A
            record that is too large loses first the end of its value, then its headers, then its
            key; what is lost is said in ``weir.truncated_from``, ``weir.sha256`` and
            ``weir.dropped``, and the original still stands at the offset that the letter names.
            Headers of which one's name is no UTF-8 are lost at any size. Of a batch that can't be
            read there is nothing but its place.

    Raises:
        ValueError: ``max_bytes`` leaves no room for Weir's own headers.
    """
    key, value = message.key(), message.value()
    readable = headers_of(message)
    given = readable or []
    kept = [*_as_history(given), *(header for header in given if not _is_own(header))]
    own = _own_headers(message, rejected, now_ms)

    room = max_bytes - _RECORD_OVERHEAD - _size(own)
    if isinstance(message, BadBatch):
        return Record(None, None, own)
    if readable is not None and len(key or b"") + len(value or b"") + _size(kept) <= room:
        return Record(key, value, own + kept)

    room -= _MARKS
    dropped = []
    if readable is None or len(key or b"") + _size(kept) > room:
        kept = []
        dropped.append("headers")
    if len(key or b"") > room:
        key = None
        dropped.append("key")
    if dropped:
        own += _texts(dropped=",".join(dropped))
    room -= len(key or b"") + _size(kept)
    if room < 0:
        raise ValueError(
            f"max_bytes = {max_bytes} leaves no room for a dead letter's own headers: "
            "allow at least 4096"
        )
    if value is not None and len(value) > room:
        own += _texts(truncated_from=len(value), sha256=hashlib.sha256(value).hexdigest())
        value = value[:room]
    return Record(key, value, own + kept)


def read_dead_letter(message: Message) -> DeadLetter:
    """Return a dead letter from its Kafka message: the reverse of `dead_letter`.

    Raises:
        ValueError: the message is no dead letter.
    """
    given = headers_of(message) or []
    added = [header for header in given if _is_own(header)]
    own = {
        name.removeprefix(_PREFIX): (value or b"").decode(errors="replace") for name, value in added
    }
    try:
        size, last = own.get("truncated_from"), own.get("last_offset")
        timestamp = own.get("timestamp")
        return DeadLetter(
            key=message.key(),
            value=message.value(),
            headers=[header for header in given if not _is_own(header)],
            reason=own["reason"],
            field=own.get("field"),
            detail=own["detail"],
            topic=own["topic"],
            partition=int(own["partition"]),
            offset=int(own["offset"]),
            timestamp_ms=None if timestamp is None else int(timestamp),
            at_ms=int(own["at"]),
            version=own["version"],
            truncated_from=None if size is None else int(size),
            sha256=own.get("sha256"),
            dropped=own.get("dropped", ""),
            last_offset=None if last is None else int(last),
            history=_history(own),
            own_headers=added,
        )
    except (KeyError, ValueError) as error:
        place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        raise ValueError(
            f"{place} is no dead letter ({type(error).__name__} {error} in its weir.* headers): "
            "is this the dead-letter topic?"
        ) from error


def is_failed_one(message: Message) -> bool:
    """Whether a record is a dead letter sent again that had failed, and so was never answered."""
    return (_PREFIX + "reason", Reason.FAILED.value.encode()) in (headers_of(message) or ())


def _own_headers(message: Message, rejected: Rejected, now_ms: int) -> list[Header]:
    kind, timestamp = message.timestamp()
    batch = message if isinstance(message, BadBatch) else None
    return _texts(
        reason=rejected.reason,
        field=None if rejected.field is None else safe_text(rejected.field),
        detail=safe_text(rejected.detail),
        topic=message.topic(),
        partition=message.partition(),
        offset=batch.first if batch is not None else message.offset(),
        last_offset=batch.offset() if batch is not None else None,
        timestamp=timestamp if kind else None,  # kind 0 is "not available"
        at=now_ms,
        version=_version(),
        dropped="records" if batch is not None else None,
    )


def _texts(**values: str | int | None) -> list[Header]:
    return [
        (_PREFIX + name, str(value).encode()) for name, value in values.items() if value is not None
    ]


def _is_own(header: Header) -> bool:
    return header[0].startswith(_PREFIX)


def _as_history(headers: list[Header]) -> list[Header]:
    """Return Weir's headers of a requeued record, with the latest rejection made history too."""
    past = [header for header in headers if header[0].startswith(_HISTORY)]
    number = 1 + max((_number(name) for name, _ in past), default=0)
    latest = [
        (f"{_HISTORY}{number}.{name.removeprefix(_PREFIX)}", value)
        for name, value in headers
        if name.startswith(_PREFIX) and not name.startswith(_HISTORY)
    ]
    return past + latest


def _number(name: str) -> int:
    digits = name.removeprefix(_HISTORY).partition(".")[0]
    return int(digits) if _NUMBER.fullmatch(digits) else 0


def _history(own: Mapping[str, str]) -> list[Mapping[str, str]]:
    rejections: dict[int, dict[str, str]] = {}
    for name, text in own.items():
        match name.split(".", 2):
            case ["history", digits, inner] if _NUMBER.fullmatch(digits):
                rejections.setdefault(int(digits), {})[inner] = text
    return [rejections[number] for number in sorted(rejections)]


def _size(headers: list[Header]) -> int:
    return sum(len(name.encode()) + len(value or b"") + _HEADER_OVERHEAD for name, value in headers)


@cache
def _version() -> str:
    return version("weir")
