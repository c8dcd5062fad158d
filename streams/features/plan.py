"""Feature declarations compiled to the flat arrays that the kernels read."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.base.section import format_duration
from streams.events.contract import EventContract
from streams.features.declarations import (
    CalendarFeature,
    FeatureDeclaration,
    FieldFeature,
    HistoryRatioFeature,
    LabelFeature,
    WindowFeature,
)
from streams.features.kernels.enums import Group, Stat

SCHEMA_VERSION = 1
"""Part of every schema hash: raised when the meaning of a declaration changes."""

LABEL_COLUMN = "label"

_STAT_OF_AGGREGATE = {
    "count": Stat.VALUES,
    "sum": Stat.SUM,
    "mean": Stat.MEAN,
    "min": Stat.MIN,
    "max": Stat.MAX,
    "std": Stat.STD,
    "distinct": Stat.DISTINCT,
    "last": Stat.LAST,
    "time_since": Stat.TIME_SINCE,
}

Column = tuple[str, str]
"""What an entity remembers of each event: ``(how, field)``.

`how` is ``number``, ``label``, or, where only sameness matters, ``text`` or ``integer``.
"""


@dataclass(frozen=True)
class EntityPlan:
    """All windows over one entity.

    Windows that read the same column with the same delay form a group and are ascending in it,
    so that one backward scan serves them all.
    """

    entity: str
    columns: tuple[Column, ...]
    retention_ms: int
    group_kind: NDArray[np.int64]
    group_column: NDArray[np.int64]
    group_delay: NDArray[np.int64]
    group_excludes_event: NDArray[np.bool_]
    group_windows: NDArray[np.int64]  # (groups, 2): first and one past the last of its windows
    window_ms: NDArray[np.int64]
    output_window: NDArray[np.int64]
    output_stat: NDArray[np.int64]
    output_feature: NDArray[np.int64]  # column of the feature matrix
    output_empty: NDArray[np.float64]
    output_column: NDArray[np.int64]

    @property
    def label_column(self) -> int:
        """Where labels stand among the columns, or -1."""
        kinds = [how for how, _ in self.columns]
        return kinds.index(LABEL_COLUMN) if LABEL_COLUMN in kinds else -1


@dataclass(frozen=True)
class _Output:
    feature: int
    kind: Group
    column: int
    delay: int
    excludes_event: bool
    window: int
    stat: Stat
    empty: float

    @property
    def group(self) -> tuple[int, int, int, bool]:
        return (int(self.kind), self.column, self.delay, self.excludes_event)


class FeaturePlan:
    """Which features are computed, in which order, from what.

    Attributes:
        names: feature names, in the order of the vector.
        schema_hash: SHA-256 (hex) of all that gives the vector its meaning.
        entities: one plan for each entity that windows are kept of.
    """

    def __init__(self, declarations: Sequence[FeatureDeclaration], contract: EventContract) -> None:
        if not declarations:
            raise ValueError("features: declare at least one [[features]] table")
        self.declarations = tuple(declarations)
        self.contract = contract
        self.names = tuple(declaration.name for declaration in declarations)
        duplicates = sorted({name for name in self.names if self.names.count(name) > 1})
        if duplicates:
            raise ValueError(f"features: {duplicates[0]!r} is declared twice: rename one of them")
        for declaration in declarations:
            _check_fields(declaration, contract)
        self.entities = tuple(
            self._plan_entity(entity)
            for entity in dict.fromkeys(
                declaration.entity
                for declaration in declarations
                if not isinstance(declaration, FieldFeature | CalendarFeature)
            )
        )
        self.schema_hash = hashlib.sha256(_canonical_json(self.schema()).encode()).hexdigest()

    @property
    def history_ms(self) -> int:
        """How far back the longest window reaches, in milliseconds."""
        return max((entity.retention_ms for entity in self.entities), default=0)

    @property
    def reads_labels(self) -> bool:
        """Whether any feature needs labels."""
        return any(entity.label_column >= 0 for entity in self.entities)

    def schema(self) -> dict[str, Any]:
        """All that gives the vector its meaning, ready for JSON."""
        read = {
            getattr(declaration, role, None)
            for declaration in self.declarations
            for role in ("field", "entity")
        }
        return {
            "version": SCHEMA_VERSION,
            "fields": {
                name: {"type": field.type, "unit": field.unit}
                for name, field in self.contract.fields.items()
                if name in read
            },
            "features": [declaration.model_dump() for declaration in self.declarations],
        }

    def _plan_entity(self, entity: str) -> EntityPlan:
        columns: list[Column] = []
        outputs = [
            _output(position, declaration, columns, self.contract)
            for position, declaration in enumerate(self.declarations)
            if getattr(declaration, "entity", None) == entity
        ]
        outputs = _share_scans(outputs)
        groups = list(dict.fromkeys(output.group for output in outputs))
        window_ms: list[int] = []
        bounds: list[tuple[int, int]] = []
        place: dict[tuple[tuple[int, int, int, bool], int], int] = {}
        for group in groups:
            first = len(window_ms)
            for window in sorted({output.window for output in outputs if output.group == group}):
                place[group, window] = len(window_ms)
                window_ms.append(window)
            bounds.append((first, len(window_ms)))
        return EntityPlan(
            entity=entity,
            columns=tuple(columns),
            retention_ms=max(output.window + output.delay for output in outputs),
            group_kind=np.array([group[0] for group in groups], dtype=np.int64),
            group_column=np.array([group[1] for group in groups], dtype=np.int64),
            group_delay=np.array([group[2] for group in groups], dtype=np.int64),
            group_excludes_event=np.array([group[3] for group in groups], dtype=np.bool_),
            group_windows=np.array(bounds, dtype=np.int64),
            window_ms=np.array(window_ms, dtype=np.int64),
            output_window=np.array([place[o.group, o.window] for o in outputs], dtype=np.int64),
            output_stat=np.array([int(o.stat) for o in outputs], dtype=np.int64),
            output_feature=np.array([o.feature for o in outputs], dtype=np.int64),
            output_empty=np.array([o.empty for o in outputs], dtype=np.float64),
            output_column=np.array([o.column for o in outputs], dtype=np.int64),
        )


def _share_scans(outputs: list[_Output]) -> list[_Output]:
    """Let a count of events join a scan of sums that goes as far back anyway."""
    hosts = [o for o in outputs if o.kind is Group.SUMS and not o.excludes_event]
    shared = list(outputs)
    for position, output in enumerate(outputs):
        if output.kind is not Group.EVENTS:
            continue
        for host in hosts:
            if host.delay == output.delay and host.window >= output.window:
                shared[position] = replace(output, kind=host.kind, column=host.column)
                break
    return shared


def _output(
    feature: int, declaration: FeatureDeclaration, columns: list[Column], contract: EventContract
) -> _Output:
    def column(how: str, field: str) -> int:
        if (how, field) not in columns:
            columns.append((how, field))
        return columns.index((how, field))

    match declaration:
        case WindowFeature(aggregate="count", field=None):
            kind, stat, where = Group.EVENTS, Stat.EVENTS, -1
        case WindowFeature(aggregate="distinct", field=str(field)):
            how = _identity(field, contract)
            kind, stat, where = Group.DISTINCT, Stat.DISTINCT, column(how, field)
        case WindowFeature(aggregate="time_since"):
            kind, stat, where = Group.PRIOR, Stat.TIME_SINCE, -1
        case WindowFeature(aggregate="last", field=str(field)):
            kind, stat, where = Group.PRIOR, Stat.LAST, column("number", field)
        case WindowFeature(aggregate="count", field=str(field)):
            how = "text" if contract.fields[field].type == "string" else "number"
            kind, stat, where = Group.SUMS, Stat.VALUES, column(how, field)
        case WindowFeature(aggregate=aggregate, field=str(field)):
            kind = Group.MOMENTS if aggregate in ("min", "max", "std") else Group.SUMS
            stat, where = _STAT_OF_AGGREGATE[aggregate], column("number", field)
        case HistoryRatioFeature(field=field):
            kind, stat, where = Group.SUMS, Stat.RATIO_TO_MEAN, column("number", field)
        case LabelFeature(aggregate=aggregate):
            stat = Stat.SUM if aggregate == "count" else Stat.MEAN
            kind, where = Group.SUMS, column(LABEL_COLUMN, "")
        case _:
            raise TypeError(f"{declaration!r} is not over an entity")
    return _Output(
        feature=feature,
        kind=kind,
        column=where,
        delay=getattr(declaration, "delay", 0),
        excludes_event=isinstance(declaration, HistoryRatioFeature),
        window=declaration.window,
        stat=stat,
        empty=declaration.empty_value
        if isinstance(declaration, WindowFeature)
        else declaration.empty,
    )


def _identity(field: str, contract: EventContract) -> str:
    match contract.fields[field].type:
        case "string":
            return "text"
        case "int":
            return "integer"
        case _:
            return "number"


def _check_fields(declaration: FeatureDeclaration, contract: EventContract) -> None:
    """Raise `ValueError` where a feature names a field that the contract lacks or can't serve."""
    for role in ("entity", "field"):
        name = getattr(declaration, role, None)
        if name is None:
            continue
        where = f"features: {declaration.name!r}: {role} = {name!r}"
        field = contract.fields.get(name)
        if field is None:
            raise ValueError(
                f"{where} is not among event.fields ({', '.join(contract.fields)}): "
                "declare it there, or write one of these"
            )
        if role == "entity" and field.type not in ("int", "string"):
            raise ValueError(f"{where} is a {field.type}: an entity is an int or string field")
        countable = getattr(declaration, "aggregate", "") in ("count", "distinct")
        if role == "field" and field.type == "string" and not countable:
            raise ValueError(
                f"{where} is a string: name a numeric or bool field, or use a window feature "
                "with aggregate = 'count' or 'distinct'"
            )


def _canonical_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=True)


def check_label_delays(plan: FeaturePlan, label_delay_ms: int) -> None:
    """Refuse features that look at labels before these are known.

    Raises:
        ValueError: a label feature's delay is shorter than ``labels.delay``.
    """
    for declaration in plan.declarations:
        if isinstance(declaration, LabelFeature) and declaration.delay < label_delay_ms:
            has, least = map(format_duration, (declaration.delay, label_delay_ms))
            raise ValueError(
                f"features: {declaration.name!r} has delay = {has!r}, but labels.delay is "
                f"{least!r}: it would look at events whose labels are not known yet. Set its "
                f"delay to {least!r} or more"
            )
