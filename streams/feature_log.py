"""The feature log: what the scorer saw and what it answered, in columns.

One Arrow IPC stream per partition and transaction. Whoever compares, explains, watches or trains
reads these records, and so sees the very bits that were scored. Columns may be added at any time:
readers take what they know by name.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streams.base.section import Section
from streams.events.contract import FieldType
from streams.events.record_headers import LONGEST_TEXT
from streams.tracing.headers import TRACEPARENT, TRACESTATE

FORMAT_VERSION = "4"
"""Raised with every change of columns: 2 brought ``late`` and ``approximate``, 3 ``fallback``, 4
``model``, ``arm``, ``share``, ``propensity`` and ``context``."""
_BEFORE_ARMS = "3"
CHAMPION_ARM = "champion"
APPROVE_THROUGH = "approve_through"
"""A column that is there where would-be declines may be approved; null where the event is none."""
NO_NOTES: Mapping[str, str] = MappingProxyType({})
_CONTEXT_TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
}


class FeatureLogSettings(Section):
    """The ``[feature_log]`` section.

    Attributes:
        include: fields of the event that go along, beside the features that the model reads: what
            an amount at stake, a slice or a segment is told by. Of a text, the first 256
            characters. ``header:NAME`` is a header of the event's Kafka record.
    """

    include: tuple[str, ...] = ()


class Arm(NamedTuple):
    """One of the models that answer side by side.

    Attributes:
        model: the first 12 digits of its package's id.
    """

    name: str
    model: str


@dataclass(frozen=True)
class ScoredEvents:
    """n scored events of one partition, ascending in offset.

    Attributes:
        ids, keys: event ids and keys, all ``int`` or all ``str``.
        times: event times, ms, shape (n,).
        offsets: offsets in the events topic, shape (n,).
        features: float32, shape (n, width).
        score, probability, anomaly: float32, shape (n,).
        decision: codes into `FeatureLogWriter.decisions`, int8, shape (n,).
        late, approximate: see `streams.features.FeatureRows`, bool, shape (n,).
        fallback: the policy's fallback answered, and the scores are ``NaN``; bool, shape (n,).
        arm: code into `FeatureLogWriter.arms` of what answered, int8, shape (n,).
        share: of the keys that this arm had then, float32, shape (n,).
        propensity: chance of what was done with the event, where chance had a part in it, float32,
            shape (n,); 1 elsewhere.
        approve_through: where the champion would decline, the chance with which that is approved
            nevertheless, ``NaN`` elsewhere, float64, shape (n,); None where nothing ever is.
        context: n values of each field that goes along, None where it is missing.
        traceparents, tracestates: headers of the traces that the events belong to, n of each, None
            where there is none; None where no spans are made.
    """

    ids: Sequence[Any]
    keys: Sequence[Any]
    times: NDArray[np.int64]
    offsets: NDArray[np.int64]
    features: NDArray[np.float32]
    score: NDArray[np.float32]
    probability: NDArray[np.float32]
    anomaly: NDArray[np.float32]
    decision: NDArray[np.int8]
    late: NDArray[np.bool_]
    approximate: NDArray[np.bool_]
    fallback: NDArray[np.bool_]
    arm: NDArray[np.int8]
    share: NDArray[np.float32]
    propensity: NDArray[np.float32]
    approve_through: NDArray[np.float64] | None = None
    context: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    traceparents: Sequence[str | None] | None = None
    tracestates: Sequence[str | None] | None = None

    def part(self, start: int, stop: int) -> "ScoredEvents":
        """The events from one position to another."""
        columns: dict[str, Any] = {
            name: None if column is None else column[start:stop]
            for name, column in vars(self).items()
            if name != "context"
        }
        context = {name: column[start:stop] for name, column in self.context.items()}
        return ScoredEvents(**columns, context=context)


class FeatureLogWriter:
    """Encodes scored events; the schema is built once.

    Args:
        feature_names: what the columns of a feature vector mean.
        id_type, key_type: Arrow types of ids and keys.
        decisions: names of the decision codes.
        metadata: what holds for all events: model, policy, feature schema hash ...; text to text.
        arms: what the arm codes stand for.
        include: fields that go along, to their types as the event contract says.
        approve_through: whether the column of this name is written.
        traced: whether the columns of traces are.
    """

    def __init__(
        self,
        feature_names: Sequence[str],
        id_type: pa.DataType,
        key_type: pa.DataType,
        decisions: Sequence[str],
        metadata: Mapping[str, str],
        *,
        arms: Sequence[Arm],
        include: Mapping[str, FieldType] = MappingProxyType({}),
        approve_through: bool = False,
        traced: bool = False,
    ) -> None:
        self._width = len(feature_names)
        self._decisions = pa.array(decisions, pa.string())
        self._arms = pa.array([arm.name for arm in arms], pa.string())
        self._models = pa.array([arm.model for arm in arms], pa.string())
        self._context = pa.struct([(name, _CONTEXT_TYPES[kind]) for name, kind in include.items()])
        named = pa.dictionary(pa.int8(), pa.string())
        texts = {
            "weir.format": FORMAT_VERSION,
            "weir.feature_names": json.dumps(list(feature_names)),
            **{f"weir.{name}": value for name, value in metadata.items()},
        }
        self._schema = pa.schema(
            [
                pa.field("event_id", id_type, nullable=False),
                pa.field("key", key_type, nullable=False),
                pa.field("event_time", pa.timestamp("ms", "UTC"), nullable=False),
                pa.field("offset", pa.int64(), nullable=False),
                pa.field("features", pa.list_(pa.float32(), self._width), nullable=False),
                pa.field("score", pa.float32(), nullable=False),
                pa.field("probability", pa.float32(), nullable=False),
                pa.field("anomaly", pa.float32(), nullable=False),
                pa.field("decision", named, nullable=False),
                pa.field("late", pa.bool_(), nullable=False),
                pa.field("approximate", pa.bool_(), nullable=False),
                pa.field("fallback", pa.bool_(), nullable=False),
                pa.field("model", named, nullable=False),
                pa.field("arm", named, nullable=False),
                pa.field("share", pa.float32(), nullable=False),
                pa.field("propensity", pa.float32(), nullable=False),
                pa.field("context", self._context, nullable=False),
                *([pa.field(APPROVE_THROUGH, pa.float64())] if approve_through else []),
                *(pa.field(name, pa.string()) for name in (TRACEPARENT, TRACESTATE) if traced),
            ],
            metadata=texts,
        )

    def encode(self, events: ScoredEvents, notes: Mapping[str, str] = NO_NOTES) -> bytes:
        """One self-contained Arrow IPC stream of one record batch.

        Args:
            notes: metadata of this record alone, as that of the writer.
        """
        flat = np.ascontiguousarray(events.features, np.float32).reshape(-1)
        schema, arm = self._schema, pa.array(events.arm)
        if notes:
            more = {f"weir.{name}": value for name, value in notes.items()}
            schema = schema.with_metadata({**schema.metadata, **more})
        chances = events.approve_through
        traces = [each for each in (events.traceparents, events.tracestates) if each is not None]
        batch = pa.record_batch(
            [
                pa.array(events.ids, schema.field("event_id").type),
                pa.array(events.keys, schema.field("key").type),
                pa.array(events.times, pa.int64()).view(pa.timestamp("ms", "UTC")),
                pa.array(events.offsets, pa.int64()),
                pa.FixedSizeListArray.from_arrays(pa.array(flat), self._width),
                pa.array(events.score),
                pa.array(events.probability),
                pa.array(events.anomaly),
                pa.DictionaryArray.from_arrays(pa.array(events.decision), self._decisions),
                pa.array(events.late),
                pa.array(events.approximate),
                pa.array(events.fallback),
                pa.DictionaryArray.from_arrays(arm, self._models),
                pa.DictionaryArray.from_arrays(arm, self._arms),
                pa.array(events.share),
                pa.array(events.propensity),
                self._context_of(events),
                *([] if chances is None else [pa.array(chances, from_pandas=True)]),
                *(pa.array(texts, pa.string()) for texts in traces),
            ],
            schema=schema,
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(batch)
        encoded: bytes = sink.getvalue().to_pybytes()
        return encoded

    def _context_of(self, events: ScoredEvents) -> pa.StructArray:
        if not self._context.num_fields:
            # Arrow tells the length of a struct by its columns.
            return pa.array([{}] * len(events.ids), self._context)
        columns = [
            pa.array(_cut(events.context[each.name]), each.type)
            if each.type == pa.string()
            else pa.array(events.context[each.name], each.type)
            for each in self._context
        ]
        return pa.StructArray.from_arrays(columns, fields=list(self._context))


def _cut(texts: Sequence[str | None]) -> list[str | None]:
    return [None if text is None else text[:LONGEST_TEXT] for text in texts]


def read_feature_log(value: bytes) -> pa.Table:
    """The table in one record of the feature log; ``schema.metadata`` says what holds for all.

    One of format 3 gets the columns that it lacks: its one model answered all.

    Raises:
        ValueError: the bytes are no feature log record, or one of another format.
    """
    try:
        table = pa.ipc.open_stream(value).read_all()
        # Arrow trusts what lengths and offsets say: whoever looked at wrong ones would crash.
        table.validate(full=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"not a feature log record: {error}") from error
    version = (table.schema.metadata or {}).get(b"weir.format", b"?").decode(errors="replace")
    if version == _BEFORE_ARMS:
        return _with_arms(table)
    if version != FORMAT_VERSION:
        raise ValueError(
            f"a feature log record of format {version}: this program reads formats {_BEFORE_ARMS} "
            f"and {FORMAT_VERSION}"
        )
    return table


def _with_arms(table: pa.Table) -> pa.Table:
    count = table.num_rows
    model = table.schema.metadata.get(b"weir.model", b"").decode(errors="replace")
    zeros, ones = pa.array(np.zeros(count, np.int8)), pa.array(np.ones(count, np.float32))
    columns = {
        "model": pa.DictionaryArray.from_arrays(zeros, pa.array([model])),
        "arm": pa.DictionaryArray.from_arrays(zeros, pa.array([CHAMPION_ARM])),
        "share": ones,
        "propensity": ones,
        "context": pa.array([{}] * count, pa.struct([])),
    }
    for name, column in columns.items():
        table = table.append_column(pa.field(name, column.type, nullable=False), column)
    return table


def approve_through_of(table: pa.Table) -> list[float | None]:
    """Chances to be approved of would-be declines, None elsewhere, of a table's n events."""
    if APPROVE_THROUGH not in table.column_names:
        return [None] * table.num_rows
    chances: list[float | None] = table[APPROVE_THROUGH].to_pylist()
    return chances


def feature_names(table: pa.Table) -> list[str]:
    """Names of the columns of the feature vectors in a table of the feature log."""
    names: list[str] = json.loads(table.schema.metadata[b"weir.feature_names"])
    return names


def feature_matrix(table: pa.Table) -> NDArray[np.float32]:
    """The feature vectors of a table of the feature log, shape (n, width)."""
    column = table.column("features").combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    width = table.schema.field("features").type.list_size
    matrix: NDArray[np.float32] = column.flatten().to_numpy().reshape(len(table), width)
    return matrix


def feature_columns(table: pa.Table, names: Sequence[str]) -> NDArray[np.float32]:
    """The feature vectors of a table of the feature log, in the order of these names.

    Raises:
        ValueError: one of them is not among the features of the table.
    """
    given, matrix = feature_names(table), feature_matrix(table)
    if given == list(names):
        return matrix
    if missing := [name for name in names if name not in given]:
        raise ValueError(
            f"feature {missing[0]!r} is not in the record, which has {', '.join(given)}: it was "
            "written by a scorer with other [[features]]"
        )
    return matrix[:, [given.index(name) for name in names]]
