"""What one transaction takes in."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from confluent_kafka import Message, TopicPartition
from numpy.typing import NDArray

from streams.events.record_batch import RecordBatch
from streams.events.rejection import Rejected
from streams.features.label_batch import LabelBatch


class BadRecord(NamedTuple):
    """A record that is no event or label, and why."""

    message: Message
    rejected: Rejected


@dataclass(frozen=True)
class InputBatch:
    """Events and labels in their order, bad records, and where reading goes on.

    Attributes:
        events: n events in the order in which they count.
        partitions: the partition of each, shape (n,).
        offsets: the offset of each, shape (n,).
        arrived: when each was stamped by producer or broker, ms, shape (n,).
        labels: labels that became known before or between them.
        bad: records that go to the dead letters.
        positions: where each partition goes on afterwards: the offsets to commit.
        decode_s: time spent on decoding since the work before this, in seconds.
        repeats: how many records before the positions are left out, as repeats of earlier ones.
    """

    events: RecordBatch
    partitions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    arrived: NDArray[np.int64]
    labels: LabelBatch
    bad: list[BadRecord]
    positions: list[TopicPartition]
    decode_s: float
    repeats: int = 0
