"""The dead-letter topic: its letters, a selection of them, and which were requeued.

What was requeued is remembered in the topic itself: a *mark*, written to the letters' partition in
the transaction that sends them, holds their offsets. So a letter is requeued exactly when its mark
can be read, whoever requeued it and wherever that was interrupted; and letters and their marks
leave the topic together.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from confluent_kafka import Message

from streams.dead_letters.letter import DeadLetter, read_dead_letter
from streams.kafka.client import KafkaSettings
from streams.kafka.message import Header, headers_of
from streams.kafka.records.consuming import read_to_end

REQUEUED_HEADER = "weir.requeued"

Progress = Callable[[int, int], None]
Marks = Mapping[int, Mapping[int, int]]
"""When each requeued letter was requeued, UTC milliseconds, by partition and offset."""


def silent(done: int, total: int) -> None:
    """Nobody watches."""


class RecordAddress(NamedTuple):
    """Where a record stands; as text ``topic/partition/offset``."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``topic/partition/offset``, or ``topic[partition]@offset`` as errors show it.

        Raises:
            ValueError: it is neither.
        """
        plain = text.replace("[", "/").replace("]@", "/")
        match plain.rsplit("/", 2):
            case [topic, partition, offset] if topic and _is_number(partition + offset):
                return cls(topic, int(partition), int(offset))
        raise ValueError(f"{text!r} names no record: write TOPIC/PARTITION/OFFSET")


def _is_number(digits: str) -> bool:
    return digits.isascii() and digits.isdecimal() and len(digits) < 30


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter in its topic.

    Attributes:
        place: its own, in the dead-letter topic.
        requeued_ms: when it was requeued, UTC milliseconds; None if it was not.
    """

    letter: DeadLetter
    place: RecordAddress
    requeued_ms: int | None

    @property
    def source(self) -> RecordAddress:
        """Where the original record stands."""
        return RecordAddress(self.letter.topic, self.letter.partition, self.letter.offset)


@dataclass(frozen=True)
class Selection:
    """Which letters: those that fulfil every condition that is given.

    Attributes:
        reasons: one of these.
        topic, partition: where the original record stands.
        key: the record's own.
        from_ms, to_ms: rejected at this time or later; before this time.
        places: the original's place, or the letter's own.
        requeued: whether it was requeued.
    """

    reasons: frozenset[str] = frozenset()
    topic: str | None = None
    partition: int | None = None
    key: bytes | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    places: frozenset[RecordAddress] = field(default_factory=frozenset)
    requeued: bool | None = None

    def holds(self, stored: StoredDeadLetter) -> bool:
        """Whether a letter is one of them."""
        letter = stored.letter
        return (
            (not self.reasons or letter.reason in self.reasons)
            and self.topic in (None, letter.topic)
            and self.partition in (None, letter.partition)
            and self.key in (None, letter.key)
            and (self.from_ms is None or letter.at_ms >= self.from_ms)
            and (self.to_ms is None or letter.at_ms < self.to_ms)
            and (not self.places or bool(self.places & {stored.place, stored.source}))
            and self.requeued in (None, stored.requeued_ms is not None)
        )


EVERYTHING = Selection()


class DeadLetterReader:
    """Reads the dead-letter topic; every method reads it from its beginning to its present end.

    Attributes:
        foreign: how many records the last reading met that are no dead letters.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self.kafka = kafka
        self.topic = topic
        self.foreign = 0

    def marks(self, progress: Progress = silent) -> Marks:
        """What was requeued.

        Raises:
            ValueError: there is no such topic.
            KafkaException: the cluster failed.
        """
        marks: dict[int, dict[int, int]] = {}
        for batch in read_to_end(self.kafka, self.topic, progress):
            for message in batch:
                if (mark := _read_mark(message)) is not None:
                    offsets, at_ms = mark
                    marks.setdefault(message.partition(), {}).update(dict.fromkeys(offsets, at_ms))
        return marks

    def letters(
        self, marks: Marks, selection: Selection = EVERYTHING, progress: Progress = silent
    ) -> Iterator[StoredDeadLetter]:
        """Yield the letters of a selection, ascending in offset per partition.

        Raises:
            ValueError: there is no such topic.
            KafkaException: the cluster failed.
        """
        self.foreign = 0
        for batch in read_to_end(self.kafka, self.topic, progress):
            for message in batch:
                if _read_mark(message) is not None:
                    continue
                try:
                    letter = read_dead_letter(message)
                except ValueError:
                    self.foreign += 1
                    continue
                place = RecordAddress(self.topic, message.partition(), message.offset())
                requeued_ms = marks.get(place.partition, {}).get(place.offset)
                stored = StoredDeadLetter(letter, place, requeued_ms)
                if selection.holds(stored):
                    yield stored


def mark(offsets: Iterable[int], at_ms: int) -> tuple[bytes, list[Header]]:
    """Value and headers of the record that marks letters of its own partition as requeued."""
    return json.dumps(list(offsets)).encode(), [(REQUEUED_HEADER, str(at_ms).encode())]


def _read_mark(message: Message) -> tuple[list[int], int] | None:
    """Offsets and time of a mark; None of any other record.

    No letter can pass for one: what a producer wrote into ``weir.`` headers is history in it.
    """
    headers = headers_of(message) or []
    if len(headers) != 1 or headers[0][0] != REQUEUED_HEADER:
        return None
    try:
        return [int(offset) for offset in json.loads(message.value())], int(headers[0][1] or b"")
    except (TypeError, ValueError):
        return None
