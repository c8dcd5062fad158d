"""What goes from the monitor's first stage to its second, and what people say to that."""

from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray


class CellCounts(msgspec.Struct, frozen=True, tag="counts"):
    """What one transaction counted of a cell of time: it adds up over transactions and partitions.

    Attributes:
        model: the first digits of its package's id.
        partition: of the feature log.
        start: of the cell, ms of event time.
        reached: latest event time of these events, ms.
        behind: whether there was more to be counted of the partition then.
        counts: int32, features times bins.
        decisions: events by what was decided.
        details: see `details_of`; of some of the events.
        segments: counts by segment; see `pack_segments`.
    """

    model: str
    partition: int
    start: int
    reached: int
    events: int
    counts: bytes
    decisions: dict[str, int]
    behind: bool = False
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


ENCODE = msgspec.msgpack.Encoder().encode
DECODE = msgspec.msgpack.Decoder(CellCounts | CohortDays | EpisodeAct).decode
