"""What was answered, as records of the feature log."""

import numpy as np

from inference.serving.explanation_seam import ScoredBatch
from streams.feature_log import FeatureLogWriter, ScoredEvents
from streams.features.feature_rows import FeatureRows
from streams.transactions.outcome import Outgoing

FEATURE_LOG_BYTES = 900_000
"""As for dead letters, below what a topic takes that others have made."""


def feature_log_records(
    topic: str, writer: FeatureLogWriter, answered: ScoredBatch, flags: FeatureRows
) -> Outgoing:
    """Return one record per partition, or several where one would be too large."""
    work, features, outputs = answered.work, answered.features, answered.outputs
    at_once = max(1, FEATURE_LOG_BYTES // (features.itemsize * features.shape[1] + 128))
    values, partitions = [], []
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
            )
            values.append(writer.encode(scored))
            partitions.append(partition)
    return Outgoing(topic, values, [None] * len(values), partitions)
