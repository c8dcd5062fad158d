"""The records of an entity stage: what it reads from its topic, and the features it writes."""

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from streams.features.feature_rows import FeatureRows
from streams.intake.partition_queue import OFFSET
from streams.intake.time_merge import MergedRecords
from streams.stages.common.consumed_rows import QueueKey
from streams.stages.common.messages import (
    EVENTS,
    LABELS,
    MessageError,
    RowCodec,
    SourceProgress,
    decode_labels,
    encode_features,
    open_message,
)
from streams.stages.common.split import EntityPart
from streams.transactions.outcome import Outgoing


def read_record(
    value: bytes | None, codec: RowCodec, sources: Container[QueueKey]
) -> tuple[QueueKey, list[Any], SourceProgress]:
    """The source partition of a record, its rows, and how far that partition had come.

    Raises:
        MessageError: it can't be read, or is of a partition that is none of `sources`.
    """
    kind, body = open_message(value)
    progress: SourceProgress
    rows: list[Any]
    if kind == EVENTS:
        progress, rows = codec.decode(body)
    elif kind == LABELS:
        progress, rows = decode_labels(body)
    else:
        raise MessageError(
            f"unexpected record of kind {kind!r}: see who may write to this topic, and set a "
            "new stages.prefix"
        )
    key = (kind == EVENTS, progress.partition)
    if key not in sources:
        raise MessageError(
            f"the record is of partition {progress.partition}, which its source did not have "
            "when this process started: restart it"
        )
    return key, rows, progress


def features_of(
    merged: MergedRecords,
    rows: FeatureRows,
    *,
    part: EntityPart,
    sources: Sequence[QueueKey],
    topic: str,
) -> list[Outgoing]:
    """The records that say the features of some events, each in the partition of its events.

    Args:
        merged: n events and labels, whose `queues` count in the order of `sources`.
        rows: the events' features.
        topic: where they go.
    """
    values, partitions = [], []
    for queue in np.unique(merged.queues).tolist():
        places = np.flatnonzero(merged.queues == queue)
        _, partition = sources[queue]
        encoded = encode_features(
            part.entity, part.digest, partition, merged.numbers[OFFSET][places], rows.take(places)
        )
        values += encoded
        partitions += [partition] * len(encoded)
    if not values:
        return []
    return [Outgoing(topic, values, [None] * len(values), partitions)]
