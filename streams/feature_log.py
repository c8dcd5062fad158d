"""The feature log: what the scorer saw and what it answered, in columns.

One Arrow IPC stream per partition and transaction. Whoever compares, explains, watches or trains
reads these records, and so sees the very bits that were scored.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FORMAT_VERSION = "3"
"""Raised with every change of columns: 2 brought ``late`` and ``approximate``, 3 ``fallback``."""


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


class FeatureLogWriter:
    """Encodes scored events; the schema is built once.

    Args:
        feature_names: what the columns of a feature vector mean.
        id_type, key_type: Arrow types of ids and keys.
        decisions: names of the decision codes.
        context: what holds for all events: model, policy, feature schema hash ...; text to text.
    """

    def __init__(
        self,
        feature_names: Sequence[str],
        id_type: pa.DataType,
        key_type: pa.DataType,
        decisions: Sequence[str],
        context: Mapping[str, str],
    ) -> None:
        self._width = len(feature_names)
        self._decisions = pa.array(decisions, pa.string())
        metadata = {
            "weir.format": FORMAT_VERSION,
            "weir.feature_names": json.dumps(list(feature_names)),
            **{f"weir.{name}": value for name, value in context.items()},
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
                pa.field("decision", pa.dictionary(pa.int8(), pa.string()), nullable=False),
                pa.field("late", pa.bool_(), nullable=False),
                pa.field("approximate", pa.bool_(), nullable=False),
                pa.field("fallback", pa.bool_(), nullable=False),
            ],
            metadata=metadata,
        )

    def encode(self, events: ScoredEvents) -> bytes:
        """One self-contained Arrow IPC stream of one record batch."""
        flat = np.ascontiguousarray(events.features, np.float32).reshape(-1)
        schema = self._schema
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
            ],
            schema=schema,
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(batch)
        encoded: bytes = sink.getvalue().to_pybytes()
        return encoded


def read_feature_log(value: bytes) -> pa.Table:
    """The table in one record of the feature log; ``schema.metadata`` holds its context.

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
    if version != FORMAT_VERSION:
        raise ValueError(
            f"a feature log record of format {version}: this program reads format {FORMAT_VERSION}"
        )
    return table


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
