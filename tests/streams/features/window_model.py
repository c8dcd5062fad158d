"""What every windowed feature means, in plain Python over the whole past, and events to try it on.

`Model` forgets nothing and shares no code with the kernels.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from streams.events.contract import EventContract
from streams.events.record_batch import RecordBatch
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState

CONTRACT = EventContract.model_validate(
    {
        "id": "id",
        "time": "time",
        "key": "card",
        "fields": {
            "id": {"type": "int"},
            "card": {"type": "string"},
            "shop": {"type": "int", "required": False},
            "amount": {"type": "float", "required": False},
            "items": {"type": "int", "required": False},
            "online": {"type": "bool", "required": False},
            "country": {"type": "string", "required": False},
        },
    }
)

Label = tuple[int, Any, float]
"""Known before the event at this position of the stream; id of its event; 1 for fraud."""


@dataclass(eq=False)
class Event:
    """One event, and the label that each entity's windows see on it."""

    id: Any
    time: int
    card: str = "a"
    shop: int | None = 1
    amount: float | None = None
    items: int | None = None
    online: bool | None = None
    country: str | None = None
    labels: dict[str, float] = field(default_factory=dict)


def make_plan(*tables: dict[str, Any], contract: EventContract = CONTRACT) -> FeaturePlan:
    """Compile ``[[features]]`` tables; those without a name get one."""
    named = [{"name": f"f{number}", **table} for number, table in enumerate(tables)]
    return FeaturePlan(TypeAdapter(list[FeatureDeclaration]).validate_python(named), contract)


def make_batch(events: Sequence[Event], contract: EventContract = CONTRACT) -> RecordBatch:
    """Return events as decoded records."""
    records = [
        SimpleNamespace(**{name: getattr(event, name) for name in contract.fields})
        for event in events
    ]
    return RecordBatch(contract, records, np.array([e.time for e in events], np.int64))


def feed(
    state: FeatureState,
    events: Sequence[Event],
    labels: Sequence[Label] = (),
    cuts: Iterable[int] = (),
) -> NDArray[np.float64]:
    """Give a stream to a state in micro-batches cut at `cuts`; its feature matrix."""
    edges = sorted({0, len(events), *(cut for cut in cuts if cut <= len(events))})
    if len(edges) == 1:
        edges = [0, 0]
    parts = []
    for low, high in pairwise(edges):
        # A label at the end of a batch belongs to the next one, except in the very last.
        last = high == len(events)
        known = [k for k in labels if low <= k[0] < high or (last and k[0] >= high)]
        batch = LabelBatch(
            [label_id for _, label_id, _ in known],
            np.array([value for _, _, value in known], np.float64),
            np.array([min(at, high) - low for at, _, _ in known], np.int64),
        )
        rows = state.update(make_batch(events[low:high], state.plan.contract), batch)
        parts.append(rows.matrix)
    return np.concatenate(parts)


class Model:
    """Feature vectors computed from the list of all events so far.

    Args:
        lateness_ms: a label of an event that is further back than this and the longest window waits
            for another of its id; None for one that finds its event however old it is.
    """

    def __init__(self, plan: FeaturePlan, lateness_ms: int | None = None) -> None:
        self.declarations = plan.declarations
        forever = 1 << 60
        late = forever if lateness_ms is None else lateness_ms
        self.keep = {entity.entity: entity.retention_ms + late for entity in plan.entities}
        self.newest = -forever
        self.entities = {d.entity for d in plan.declarations if hasattr(d, "entity")}
        self.events: list[Event] = []
        self.known = {entity: {} for entity in self.entities}
        self.waiting = {entity: {} for entity in self.entities}

    def run(self, events: Sequence[Event], labels: Sequence[Label] = ()) -> list[list[float]]:
        """Return the matrix of a stream."""
        rows = []
        for position, event in enumerate(events):
            for at, label_id, value in labels:
                if at == position:
                    self.label(label_id, value)
            rows.append(self.arrive(event))
        return rows

    def label(self, label_id: Any, value: float) -> None:
        """Let every entity learn a label."""
        for entity in self.entities:
            event = self.known[entity].get(label_id)
            if event is not None and event.time > self.newest - self.keep[entity]:
                event.labels[entity] = value
            else:
                self.known[entity].pop(label_id, None)
                self.wait(entity, label_id, value)

    def wait(self, entity: str, label_id: Any, value: float) -> None:
        """Keep a label for an event that is to come."""
        self.waiting[entity][label_id] = value

    def arrive(self, event: Event) -> list[float]:
        """Take in one event and return its feature vector."""
        for entity in self.entities:
            if getattr(event, entity) is not None:
                event.labels[entity] = self.waiting[entity].pop(event.id, 0.0)
                self.known[entity][event.id] = event
        vector = [self.feature(d, event) for d in self.declarations]
        self.events.append(event)
        self.newest = max(self.newest, event.time)
        return vector

    def feature(self, d: Any, event: Event) -> float:
        """Return one feature of an event that is about to join the past."""
        if d.kind == "field":
            return _number(getattr(event, d.field))
        entity = getattr(event, d.entity)
        empty = _empty_value(d)
        if entity is None:
            return empty
        past = [e for e in self.events if getattr(e, d.entity) == entity]
        until = event.time - getattr(d, "delay", 0)
        if d.kind == "label" or getattr(d, "aggregate", "last") not in ("last", "time_since"):
            past.append(event)
        inside = [e for e in past if until - d.window < e.time <= until]
        inside.sort(key=lambda e: e.time)  # stable: among equal times the order of arrival
        if d.kind == "label":
            frauds = [e.labels[d.entity] for e in inside]
            if not frauds:
                return empty
            return sum(frauds) if d.aggregate == "count" else sum(frauds) / len(frauds)
        if d.kind == "history_ratio":
            values = [_number(getattr(e, d.field)) for e in inside]
            values = [value for value in values if not math.isnan(value)]
            mean = math.fsum(values) / len(values) if values else 0.0
            ratio = _number(getattr(event, d.field)) / mean if mean else math.nan
            return empty if math.isnan(ratio) else ratio
        return self.window(d, event, inside, empty)

    def window(self, d: Any, event: Event, inside: list[Event], empty: float) -> float:
        """Return one aggregate over the events inside a window."""
        if d.aggregate == "time_since":
            return (event.time - inside[-1].time) / 1000 if inside else empty
        if d.field is None:
            return len(inside) if inside else empty
        values = [value for e in inside if (value := getattr(e, d.field)) is not None]
        if not values:
            return empty
        match d.aggregate:
            case "count":
                return len(values)
            case "sum":
                return math.fsum(values)
            case "mean":
                return math.fsum(values) / len(values)
            case "min":
                return min(values)
            case "max":
                return max(values)
            case "std":
                return statistics.stdev(values) if len(values) > 1 else empty
            case "distinct":
                return len(set(values))
            case "last":
                return values[-1]
        raise AssertionError(d.aggregate)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _empty_value(d: Any) -> float:
    if getattr(d, "empty", None) is not None:
        return d.empty
    return 0.0 if d.aggregate in ("count", "sum", "distinct") else math.nan


def assert_matrix(actual: NDArray[np.float64], expected: list[list[float]], plan: Any) -> None:
    """Compare every cell: sums, means and deviations to 1e-9 relative, all others exactly."""
    assert actual.shape == (len(expected), len(plan.names))
    for column, d in enumerate(plan.declarations):
        rounded = d.kind == "history_ratio" or getattr(d, "aggregate", "") in (
            "sum",
            "mean",
            "std",
            "rate",
        )
        want = np.array([row[column] for row in expected], dtype=np.float64)
        np.testing.assert_allclose(
            actual[:, column],
            want,
            rtol=1e-9 if rounded else 0,
            # What cancels is exact only to the rounding of the largest value, 1e6.
            atol=1e-9 if rounded else 0,
            err_msg=repr(d),
        )
