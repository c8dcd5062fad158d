"""A seeded world of card payments of 2018, in the order in which they are published.

Times lie far behind the clock, so that the scorer merges partitions strictly by event time, and the
answer to every event is a function of what the topics hold.
"""

import heapq
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.chaos import malformed
from tests.chaos.configuration import DAY_MS, HOUR_MS, LABEL_DELAY_MS, MOST_PARTITIONS, PARTITIONS

START_MS = 1_514_764_800_000  # 2018-01-01
_MOST_A_DAY = 27_000
_LEAST_DAYS = 6  # of event time, so that windows and labels come into play in a short campaign too
_OF_A_CARD, _OF_A_TERMINAL = 7, 34  # events a day
CLOSING_MS = 30 * DAY_MS
REASON_HEADER = "chaos-reason"
"""On a record that is none: why Weir must reject it. Weir itself ignores it."""

_LATE_MS = 30 * 60_000
_RECENT = 2_000
_REPEATED_AFTER = 300.0  # events; one hour has a thousand


@dataclass
class Record:
    """One record for the events or the labels topic; `timestamp` 0 is the clock.

    `event` is the id and time of one that keeps the contract.
    """

    partition: int
    value: bytes | None
    key: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp: int = 0
    event: tuple[int, int] | None = None


@dataclass
class Tick:
    """What is published at a time: events, then labels, then the labels' progress."""

    events: list[Record]
    labels: list[Record]
    complete_to: int


@dataclass
class Habits:
    """Shares of unusual records; faults raise them for a while.

    Attributes:
        record_time: Kafka timestamp of the records, ms; 0 is the clock.
        repeated: share of events behind which another one comes again, most of them of this hour.
    """

    late: float = 0.02
    too_late: float = 0.002
    twice: float = 0.004
    malformed: float = 0.002
    bad_labels: float = 0.002
    new_fields: float = 0.0
    record_time: int = 0
    repeated: float = 0.0


class World:
    """Draws the events of one campaign of about so many `events`, tick after tick.

    Attributes:
        partitions: of events and labels; with more, most cards move to another.
    """

    def __init__(self, seed: int, events: int) -> None:
        self._per_day = min(_MOST_A_DAY, max(1, events // _LEAST_DAYS))
        self._cards = max(MOST_PARTITIONS, self._per_day // _OF_A_CARD)
        self._terminals = max(1, self._per_day // _OF_A_TERMINAL)
        self._rng = np.random.default_rng([seed, 1])
        self._clock = START_MS
        self.partitions = PARTITIONS
        self._next_id = 1
        self._labels: list[tuple[int, int, int]] = []  # due, event id, label
        self._recent: deque[tuple[int, Record]] = deque(maxlen=_RECENT)

    def tick(self, count: int, habits: Habits) -> Tick:
        """The next `count` events, and the labels that are due before them."""
        rng = self._rng
        span = max(1, round(count * DAY_MS / self._per_day))
        start, self._clock = self._clock, self._clock + span
        times = np.sort(rng.integers(start // 1_000, self._clock // 1_000 + 1, count)) * 1_000
        # Squares make a few cards and shops busy; the busiest shop has some hundred events a day.
        cards = (rng.random(count) ** 2 * self._cards).astype(int).tolist()
        terminals = (rng.random(count) ** 2 * self._terminals).astype(int).tolist()
        amounts = (np.ceil(rng.exponential(200.0, count) + 1) / 4).tolist()
        draws = rng.random((count, 6))
        events = [
            record
            for time, card, terminal, amount, draw in zip(
                times.tolist(), cards, terminals, amounts, draws.tolist(), strict=True
            )
            for record in self._event(time, card, terminal, amount, draw, habits)
        ]
        return Tick(events, self._due(habits), self._clock - 1_000)

    def closing(self) -> Tick:
        """One event per partition far behind all others, which lets these go and waits itself."""
        time = self._clock + CLOSING_MS
        events = []
        for partition in range(self.partitions):
            body = {"id": self._new_id(), "at": time, "card": f"closing-{partition}", "amount": 1.0}
            events.append(_record(partition, body))
        self._clock = time
        return Tick(events, self._due(Habits(bad_labels=0.0)), time + DAY_MS)

    @property
    def next_id(self) -> int:
        """The id of the next event."""
        return self._next_id

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _event(
        self, time: int, card: int, terminal: int, amount: float, draw: list[float], habits: Habits
    ) -> list[Record]:
        rng, now = self._rng, time
        lateness, oddity, twice, fraud, known, more = draw
        if lateness < habits.too_late:
            time -= int(rng.integers(2 * HOUR_MS, 2 * DAY_MS))
        elif lateness < habits.too_late + habits.late:
            time -= int(rng.integers(0, _LATE_MS))
        body: dict[str, Any] = {"id": self._new_id(), "at": time, "card": f"c{card}"}
        if known < 0.99:
            body["terminal"] = terminal
        body["amount"] = amount
        if more < 0.7:
            body["device"] = f"d{card % 7}-{int(more * 100) % 5}"
        if more < habits.new_fields:
            body["loyalty"] = {"points": card, "tiers": ["a", None, 1.5]}
        partition = card % self.partitions
        if oddity < habits.malformed:
            reason, value = malformed.event(body, rng)
            return [_rejected(partition, value, f"c{card}".encode(), reason)]
        record = _record(partition, body)
        record.timestamp = habits.record_time
        if 0 < habits.record_time < time:
            record.headers.append((REASON_HEADER, b"from_the_future"))
            record.event = None
        elif lateness >= habits.too_late:
            self._label_later(body["id"], time, terminal, fraud)
            self._recent.append((now, record))
        records = [record]
        if twice < habits.twice and self._recent:
            since, again = self._recent[int(rng.integers(len(self._recent)))]
            if now - since < _LATE_MS // 2:
                records.append(again)
        if habits.repeated and self._recent and rng.random() < habits.repeated:
            back = min(len(self._recent), int(rng.exponential(_REPEATED_AFTER)) + 1)
            records.append(self._recent[-back][1])
        return records

    def _label_later(self, event_id: int, time: int, terminal: int, draw: float) -> None:
        if draw < 0.5:
            fraud = int(draw < (0.2 if terminal % 50 == 7 else 0.01))
            heapq.heappush(self._labels, (time + LABEL_DELAY_MS, event_id, fraud))
            if draw > 0.48:  # taken back, or found out, some hours later
                later = time + LABEL_DELAY_MS + 5 * HOUR_MS
                heapq.heappush(self._labels, (later, event_id, 1 - fraud))

    def _due(self, habits: Habits) -> list[Record]:
        records = []
        while self._labels and self._labels[0][0] < self._clock - 1_000:
            due, event_id, label = heapq.heappop(self._labels)
            body = {"event_id": event_id, "label": label, "time": due}
            partition = event_id % self.partitions
            records.append(_record(partition, body, key=str(event_id).encode()))
            if self._rng.random() < habits.bad_labels:
                reason, value = malformed.label(body, self._rng)
                records.append(_rejected(partition, value, b"bad", reason))
        return records


def _record(partition: int, body: dict[str, Any], key: bytes | None = None) -> Record:
    key = body["card"].encode() if key is None else key
    event = (body["id"], body["at"]) if "id" in body else None
    return Record(partition, json.dumps(body).encode(), key, [], event=event)


def _rejected(partition: int, value: bytes | None, key: bytes, reason: str) -> Record:
    return Record(partition, value, key, [(REASON_HEADER, reason.encode()), ("trace", b"\x00\xff")])
