"""Every feature from its definition in docs/features.md, one event after another, in plain Python.

It shares no code with Weir: an entity's events are lists, a window is a slice of them. Amounts are
quarters, so that sums are exact in any order.
"""

from bisect import bisect_right, insort
from dataclasses import dataclass
from math import nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.chaos.configuration import DAY_MS, FEATURES, HOUR_MS, MORE_FEATURES

_UNITS = {"h": HOUR_MS, "d": DAY_MS}
_KEPT_MS = 8 * DAY_MS
"""Longer than the longest window with its delay and the lateness: the rest is only ballast."""
_TRIM = 64


@dataclass
class Events:
    """n events in the order in which they count; -1 is a missing entity or device."""

    ids: list[int]
    times: list[int]
    cards: list[int]
    terminals: list[int]
    amounts: list[float]
    devices: list[int]


@dataclass
class Labels:
    """m labels in their order; label k is known before event ``before[k]``."""

    ids: list[int]
    values: list[int]
    before: list[int]


class _Entity:
    """Events of one card or terminal, ascending in time, those of one time as they came."""

    __slots__ = ("rows", "times")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.rows: list[int] = []

    def insert(self, time: int, row: int) -> int:
        place = bisect_right(self.times, time)
        if place == len(self.times):
            self.times.append(time)
            self.rows.append(row)
        else:
            insort(self.times, time)
            self.rows.insert(place, row)
        return place

    def trim(self) -> None:
        old = bisect_right(self.times, self.times[-1] - _KEPT_MS)
        if old > _TRIM:
            del self.times[:old], self.rows[:old]


def features(events: Events, labels: Labels) -> dict[str, NDArray[np.float32]]:
    """All features that any settings file of the campaign declares, by name, each of shape (n,)."""
    n = len(events.ids)
    declared = FEATURES + MORE_FEATURES
    columns = {each["name"]: [nan] * n for each in declared}
    for name, column in columns.items():
        if name == "amount":
            column[:] = events.amounts
        elif name == "hour":
            column[:] = [float(time // HOUR_MS % 24) for time in events.times]
    windows = [_compile(each, columns[each["name"]]) for each in declared if "entity" in each]
    known = _LabelBook(n)
    sides: list[tuple[list[int], dict[int, _Entity], list[_Window]]] = [
        (values, {}, [each for each in windows if each.entity == entity])
        for entity, values in (("card", events.cards), ("terminal", events.terminals))
    ]
    label = 0
    for row in range(n):
        while label < len(labels.ids) and labels.before[label] <= row:
            known.learn(labels.ids[label], labels.values[label])
            label += 1
        if events.terminals[row] >= 0:
            known.arrive(events.ids[row], row)
        for values, entities, own in sides:
            _measure(row, values[row], entities, own, events, known.fraud)
    return {
        name: np.array(column, np.float64).astype(np.float32) for name, column in columns.items()
    }


class _LabelBook:
    """A label belongs to the latest event of its id, and may come before it."""

    def __init__(self, n: int) -> None:
        self.fraud = [0] * n
        self._row: dict[int, int] = {}
        self._waiting: dict[int, int] = {}

    def learn(self, event_id: int, value: int) -> None:
        row = self._row.get(event_id)
        if row is None:
            self._waiting[event_id] = value
        else:
            self.fraud[row] = value

    def arrive(self, event_id: int, row: int) -> None:
        self._row[event_id] = row
        self.fraud[row] = self._waiting.pop(event_id, 0)


@dataclass
class _Window:
    entity: str
    what: str
    length: int
    delay: int
    empty: float
    column: list[float]


def _compile(declared: dict[str, Any], column: list[float]) -> _Window:
    what = declared.get("aggregate", declared["kind"])
    if declared["kind"] == "label":
        what = f"fraud_{what}"
    zero = what in ("count", "sum", "distinct", "fraud_count", "fraud_rate")
    return _Window(
        declared["entity"],
        what,
        _ms(declared["window"]),
        _ms(declared.get("delay", "0d")),
        declared.get("empty", 0.0 if zero else nan),
        column,
    )


def _ms(text: str) -> int:
    return int(text[:-1]) * _UNITS[text[-1]]


def _measure(
    row: int,
    value: int,
    entities: dict[int, _Entity],
    windows: list[_Window],
    events: Events,
    fraud: list[int],
) -> None:
    if value < 0:
        for window in windows:
            window.column[row] = window.empty
        return
    entity = entities.get(value)
    if entity is None:
        entity = entities[value] = _Entity()
    time = events.times[row]
    place = entity.insert(time, row)
    for window in windows:
        until = time - window.delay
        low = bisect_right(entity.times, until - window.length)
        high = bisect_right(entity.times, until) if window.delay else place + 1
        found = _aggregate(window.what, entity, low, high, place, events, fraud)
        window.column[row] = window.empty if found is None else found
    entity.trim()


def _aggregate(
    what: str, entity: _Entity, low: int, high: int, place: int, events: Events, fraud: list[int]
) -> float | None:
    if what == "count":
        return float(high - low)
    if what == "time_since":
        if place <= low:
            return None
        return (entity.times[place] - entity.times[place - 1]) / 1_000
    if what == "last":
        return events.amounts[entity.rows[place - 1]] if place > low else None
    if what == "distinct":
        devices = {events.devices[row] for row in entity.rows[low:high]}
        return float(len(devices - {-1}))
    if what.startswith("fraud"):
        frauds = sum([fraud[row] for row in entity.rows[low:high]])
        if high <= low:
            return None
        return float(frauds) if what == "fraud_count" else frauds / (high - low)
    if what == "history_ratio":
        high = place
    amounts = [events.amounts[row] for row in entity.rows[low:high]]
    return _of_amounts(what, amounts, events.amounts[entity.rows[place]])


def _of_amounts(what: str, amounts: list[float], own: float) -> float | None:
    n = len(amounts)
    if what == "history_ratio":
        mean = sum(amounts) / n if n else 0.0
        return own / mean if mean else None
    if n == 0:
        return None
    if what == "sum":
        return sum(amounts)
    if what == "mean":
        return sum(amounts) / n
    if what == "min":
        return min(amounts)
    if what == "max":
        return max(amounts)
    assert what == "std"
    if n < 2:
        return None
    quarters = [int(4 * amount) for amount in amounts]
    total = sum(quarters)
    squares = sum([each * each for each in quarters])
    return sqrt((n * squares - total * total) / (16 * n * (n - 1)))
