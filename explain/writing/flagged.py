"""The events that have to be explained, out of a record of the feature log."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from explain.record.parts import DecisionPart
from explain.writing.part_builders import thresholds_part
from streams.feature_log import feature_matrix, feature_names, read_feature_log
from streams.tracing.headers import logged_texts

_BOUNDS = ("review", "decline", "anomaly_review")


@dataclass(frozen=True)
class FlaggedEvents:
    """n events of one partition that one model and policy have answered.

    Attributes:
        topic: of the events.
        model: the first digits of the package's id.
        backend, precision: of the engine that answered.
        names: columns of the features.
        ids, keys: of the events.
        times: event times, UTC ms, (n,).
        offsets: in the events' topic, (n,).
        features: float32 (n, width).
        score, probability, anomaly: float32 (n,).
        decisions: what was decided, (n,).
        traceparents, tracestates: headers of the traces that they belong to, n of each, None where
            there is none; none of them where the scorer made no spans.
    """

    topic: str
    partition: int
    model: str
    backend: str
    precision: str
    names: Sequence[str]
    ids: Sequence[int | str]
    keys: Sequence[int | str]
    times: NDArray[np.int64]
    offsets: NDArray[np.int64]
    features: NDArray[np.float32]
    score: NDArray[np.float32]
    probability: NDArray[np.float32]
    anomaly: NDArray[np.float32]
    decisions: Sequence[DecisionPart]
    traceparents: Sequence[str | None] = ()
    tracestates: Sequence[str | None] = ()

    def __len__(self) -> int:
        return len(self.ids)


def read_flagged(value: bytes, partition: int, decisions: Collection[str]) -> FlaggedEvents:
    """Return the events of a record on which one of these decisions was made by a model.

    Where the policy's fallback decided, there is no answer to explain.

    Raises:
        ValueError: it is no record of the feature log, or of another format.
    """
    try:
        return _flagged(read_feature_log(value), partition, decisions)
    except (KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise ValueError(f"no record of the feature log as Weir writes it: {error}") from error


def _flagged(table: pa.Table, partition: int, decisions: Collection[str]) -> FlaggedEvents:
    context = {
        name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()
    }
    said = ("model", "policy", "events_topic", *_BOUNDS)
    if missing := sorted({f"weir.{name}" for name in said} - context.keys()):
        raise ValueError(f"a feature log record that does not say its {missing[0]}")
    outcomes = np.array(table["decision"].to_pylist())
    wanted = np.isin(outcomes, list(decisions)) & ~table["fallback"].to_numpy()
    features = feature_matrix(table)[wanted]
    table = table.filter(wanted)
    traceparents, tracestates = logged_texts(table)
    thresholds = thresholds_part(*(float(context[f"weir.{bound}"]) for bound in _BOUNDS))
    return FlaggedEvents(
        topic=context["weir.events_topic"],
        partition=partition,
        model=context["weir.model"],
        backend=context.get("weir.backend", "unknown"),
        precision=context.get("weir.precision", "unknown"),
        names=feature_names(table),
        ids=table["event_id"].to_pylist(),
        keys=table["key"].to_pylist(),
        times=table["event_time"].to_numpy().astype("datetime64[ms]").astype(np.int64),
        offsets=table["offset"].to_numpy(),
        features=features,
        score=table["score"].to_numpy(),
        probability=table["probability"].to_numpy(),
        anomaly=table["anomaly"].to_numpy(),
        decisions=[
            DecisionPart(
                outcome=outcome, policy=context["weir.policy"], fallback=None, thresholds=thresholds
            )
            for outcome in outcomes[wanted].tolist()
        ],
        traceparents=traceparents,
        tracestates=tracestates,
    )
