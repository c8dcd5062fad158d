"""What was answered, as records of the feature log."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import APPROVE
from inference.serving.explanation_seam import ScoredBatch
from streams.feature_log import NO_NOTES, FeatureLogWriter, ScoredEvents
from streams.features.feature_rows import FeatureRows
from streams.transactions.outcome import Outgoing

FEATURE_LOG_BYTES = 900_000
"""As for dead letters, below what a topic takes that others have made."""
_FIELD_BYTES = 64
"""About what a field that goes along takes."""


def feature_log_records(
    topic: str,
    writer: FeatureLogWriter,
    answered: ScoredBatch,
    flags: FeatureRows,
    include: Collection[str],
    rows: NDArray[np.intp],
    notes: Mapping[int, Mapping[str, str]],
) -> Outgoing:
    """Return one record per partition, or several where one would be too large.

    Args:
        include: fields of the events, and headers of their records, that go along.
        rows: places of the events that one model answered, whose name and bounds `writer` writes.
        notes: metadata of the records of a partition.
    """
    work, features, outputs = answered.work, answered.features, answered.verdicts.outputs
    spans = answered.spans
    row_bytes = features.itemsize * features.shape[1] + 128 + _FIELD_BYTES * len(include)
    at_once = max(1, FEATURE_LOG_BYTES // row_bytes)
    values: list[bytes] = []
    partitions: list[int] = []
    partition_of = work.partitions[rows]
    shares, chances = answered.verdicts.routes.shares, answered.verdicts.approve_through
    for partition in np.unique(partition_of).tolist():
        all_rows = rows[partition_of == partition]
        for first in range(0, all_rows.size, at_once):
            some = all_rows[first : first + at_once]
            part = work.events.take(some)
            share = shares[answered.verdicts.arm[some]]
            decision = answered.verdicts.decisions[some]
            chance = None if chances is None else chances[some]
            scored = ScoredEvents(
                ids=part.ids,
                keys=part.keys,
                times=part.times,
                offsets=work.offsets[some],
                features=features[some],
                score=outputs.score[some],
                probability=outputs.probability[some],
                anomaly=outputs.anomaly[some],
                decision=decision,
                late=flags.late[some],
                approximate=flags.approximate[some],
                fallback=answered.verdicts.fallback[some],
                arm=answered.verdicts.arm[some],
                share=share,
                propensity=share if chance is None else share * _of_what_was_done(chance, decision),
                approve_through=chance,
                context={name: part.values(name) for name in include},
                traceparents=None if spans is None else _at(spans.traceparents, some),
                tracestates=None if spans is None else _at(spans.tracestates, some),
            )
            encoded = _split(writer, scored, notes.get(partition, NO_NOTES))
            values += encoded
            partitions += [partition] * len(encoded)
    return Outgoing(topic, values, [None] * len(values), partitions)


def _at(texts: Sequence[str | None], rows: NDArray[np.intp]) -> list[str | None]:
    return list(map(texts.__getitem__, rows.tolist()))


def _of_what_was_done(
    chance: NDArray[np.float64], decision: NDArray[np.int8]
) -> NDArray[np.float32]:
    """From the chance to be approved to that of what became of it, (n,); 1 elsewhere."""
    done = np.where(decision == APPROVE, chance, 1.0 - chance)
    return np.where(np.isnan(chance), 1.0, done).astype(np.float32)


def _split(writer: FeatureLogWriter, scored: ScoredEvents, notes: Mapping[str, str]) -> list[bytes]:
    """One record, or several where texts that go along make it too large."""
    encoded = writer.encode(scored, notes)
    count = len(scored.ids)
    if len(encoded) <= FEATURE_LOG_BYTES or count == 1:
        return [encoded]
    halves = scored.part(0, count // 2), scored.part(count // 2, count)
    return [each for half in halves for each in _split(writer, half, notes)]
