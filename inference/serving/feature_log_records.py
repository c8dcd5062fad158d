"""What was answered, as records of the feature log."""

from collections.abc import Collection

import numpy as np

from inference.serving.explanation_seam import ScoredBatch
from streams.feature_log import FeatureLogWriter, ScoredEvents
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
) -> Outgoing:
    """Return one record per partition, or several where one would be too large.

    Args:
        include: fields of the events that go along.
    """
    work, features, outputs = answered.work, answered.features, answered.outputs
    row_bytes = features.itemsize * features.shape[1] + 128 + _FIELD_BYTES * len(include)
    at_once = max(1, FEATURE_LOG_BYTES // row_bytes)
    values: list[bytes] = []
    partitions: list[int] = []
    for partition in np.unique(work.partitions).tolist():
        all_rows = np.flatnonzero(work.partitions == partition)
        for first in range(0, all_rows.size, at_once):
            rows = all_rows[first : first + at_once]
            part = work.events.take(rows)
            scored = ScoredEvents(
                ids=part.ids,
                keys=part.keys,
                times=part.times,
                offsets=work.offsets[rows],
                features=features[rows],
                score=outputs.score[rows],
                probability=outputs.probability[rows],
                anomaly=outputs.anomaly[rows],
                decision=answered.decisions[rows],
                late=flags.late[rows],
                approximate=flags.approximate[rows],
                fallback=answered.fallback[rows],
                arm=np.zeros(rows.size, np.int8),
                share=np.ones(rows.size, np.float32),
                propensity=np.ones(rows.size, np.float32),
                context={name: part.values(name) for name in include},
            )
            encoded = _split(writer, scored)
            values += encoded
            partitions += [partition] * len(encoded)
    return Outgoing(topic, values, [None] * len(values), partitions)


def _split(writer: FeatureLogWriter, scored: ScoredEvents) -> list[bytes]:
    """One record, or several where texts that go along make it too large."""
    encoded = writer.encode(scored)
    count = len(scored.ids)
    if len(encoded) <= FEATURE_LOG_BYTES or count == 1:
        return [encoded]
    halves = scored.part(0, count // 2), scored.part(count // 2, count)
    return [each for half in halves for each in _split(writer, half)]
