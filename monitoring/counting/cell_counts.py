"""What goes from the monitor's first stage to its second, and what people say to that."""

from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.transactions.outcome import Outgoing


class CellCounts(msgspec.Struct, frozen=True, tag="counts"):
    """What one transaction counted of a cell of time: it adds up over transactions and partitions.

    Attributes:
        model: the first digits of its package's id.
        partition: of the feature log.
        start: of the cell, ms of event time.
        reached: latest event time of these events, ms.
        counts: int32, features times bins.
        details: see `details_of`; of some of the events.
        segments: counts by segment; see `pack_segments`.
    """

    model: str
    partition: int
    start: int
    reached: int
    events: int
    counts: bytes
    details: list[bytes] = []
    segments: bytes = b""

    def histogram(self, shape: tuple[int, int]) -> NDArray[np.int64]:
        """The counts, (features, bins).

        Raises:
            ValueError: they are not of this shape, or of more than all events.
        """
        found = np.frombuffer(self.counts, "<i4").reshape(shape).astype(np.int64)
        if (found < 0).any() or (found.sum(axis=1) != self.events).any():
            raise ValueError(f"counts of a feature do not add up to {self.events} events")
        return found


class Unread(msgspec.Struct, frozen=True, tag="unread"):
    """What a worker has still to count of the feature log, behind the counts that came before.

    Attributes:
        partitions: all that are its own; records of each, those that are none included.
    """

    partitions: dict[int, int]


class DayCohort(NamedTuple):
    """What one partition has of a day's events of one model.

    Attributes:
        day: in days since the epoch; `terms`: see `CohortKey`.
        mature: whether its truth is meant, or else what was answered.
        cohort: see `cohort_bytes`.
    """

    day: int
    model: str
    segment: str
    terms: str
    mature: bool
    cohort: bytes


class CohortDays(msgspec.Struct, frozen=True, tag="days"):
    """How far one partition is with whole days, and cohorts of some of these; each is told once.

    Attributes:
        partition: of the feature log.
        over: the first day that may still get events; `mature`: whose events may still get labels.
    """

    partition: int
    over: int
    mature: int
    cohorts: list[DayCohort] = []


class Tried(msgspec.Struct, frozen=True):
    """One key's events that are mostly small variations of each other.

    Attributes:
        place: partition and offset of an event of it, ``3/1207``, which name the key for good.
        at: time of its latest event, ms.
        near: how many of its consecutive events are variations, of `pairs`.
    """

    place: str
    at: int
    near: int
    pairs: int


class StreamCounts(msgspec.Struct, frozen=True, tag="stream"):
    """What one transaction counted of the stream itself, whatever the model, in a cell of time.

    Without events it says that none came up to `logged`.

    Attributes:
        partition: of the feature log.
        start: of the cell, ms of event time.
        logged: begin of the ten seconds in which the events were written to the log, ms.
        producers: events by who sent them; those who sent few may be missing.
        bounds: of each bound, such as ``amount < 220``, the keys just below it and just above.
        tried: see there.
    """

    partition: int
    start: int
    logged: int
    events: int
    producers: dict[str, int] = {}
    bounds: dict[str, tuple[int, int]] = {}
    tried: list[Tried] = []


class LetterCounts(msgspec.Struct, frozen=True, tag="letters"):
    """What one transaction counted of the dead letters.

    Attributes:
        partition: of the topic of dead letters.
        logged: begin of the ten seconds in which they were rejected, ms.
        letters: by reason, such as ``wrong_type of amount``, and producer; "" where it is unknown.
        behind: whether there was more to be counted of the partition then.
    """

    partition: int
    logged: int
    letters: dict[str, dict[str, int]]
    behind: bool = False


class EpisodeAct(msgspec.Struct, frozen=True, tag="act"):
    """What somebody says of an episode.

    Attributes:
        at: when it was said, ms; `until`: up to when a snooze holds.
    """

    episode: str
    deed: Literal["acknowledge", "snooze", "close"]
    by: str
    note: str
    at: int
    until: int | None = None


SPAN_MS = 10_000
"""Dead letters have no event time: what there is of them is compared with the events that were
answered in the same ten seconds."""


def outgoing_counts(topic: str, values: list[bytes]) -> list[Outgoing]:
    """Records for the topic of counts, which has one partition."""
    return [Outgoing(topic, values, [None] * len(values), [0] * len(values))] if values else []


ENCODE = msgspec.msgpack.Encoder().encode
DECODE = msgspec.msgpack.Decoder(
    CellCounts | CohortDays | StreamCounts | LetterCounts | Unread | EpisodeAct
).decode
