"""Which events are mature, and what they were by the label that was known then.

Labels of frauds come early, and that an event was legitimate is only the absence of a report: who
counts an event as soon as its label comes counts too many frauds, and finds differences where there
are none (docs/statistics.md). So an event counts at a fixed age, by what was known at that age.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import DECLINE
from inference.shadow.comparison.pairs import Pairs, Progress
from streams.events.labels import Label, read_progress
from streams.kafka.client import KafkaSettings
from streams.kafka.message import headers_of
from streams.kafka.records.consuming import read_to_end

_UNKNOWN = -1


@dataclass(frozen=True)
class KnownLabels:
    """What became known, by event id: ``(when, 0 or 1)``, in ms.

    Attributes:
        complete_to: all labels up to this time have been sent; None where nobody says so.
    """

    by_id: dict[Any, list[tuple[int, int]]]
    complete_to: int | None


@dataclass(frozen=True)
class Mature:
    """Those of n events that count.

    Attributes:
        rows: their positions, (m,).
        frauds: what they were, bool (m,).
        hidden: positions of old events whose truth nobody knows, since the champion declined them,
            and on which the candidate decided otherwise. Where events without a label count, they
            are among `rows`, as legitimate ones.
        watermark: the event time, ms, that all partitions have reached; None without events.
        unlabelled: mature events without a label by then.
        corrected: mature events whose label changed later: counted, and not taken in again.
        waiting: events that are not mature yet.
    """

    rows: NDArray[np.intp]
    frauds: NDArray[np.bool_]
    hidden: NDArray[np.intp]
    watermark: int | None
    unlabelled: int
    corrected: int
    waiting: int


def read_labels(
    kafka: KafkaSettings, topic: str, progress: Progress = lambda done, total: None
) -> KnownLabels:
    """Read all labels; records that are none are passed over, as a scorer does.

    Raises:
        ValueError: there is no such topic.
        KafkaException: the cluster failed.
    """
    decode = msgspec.json.Decoder(Label).decode
    found: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    complete: dict[int, int] = {}
    for batch in read_to_end(kafka, topic, progress):
        for message in batch:
            if message.value() is None:
                said = read_progress(headers_of(message))
                if said is not None:
                    partition = message.partition() or 0
                    complete[partition] = max(said, complete.get(partition, said))
                continue
            try:
                label = decode(message.value() or b"")
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if label.label in (0, 1):
                found[label.event_id].append((label.time, label.label))
    return KnownLabels(dict(found), min(complete.values()) if complete else None)


def mature_events(
    pairs: Pairs, labels: KnownLabels, maturity_ms: int, *, unlabelled_count: bool
) -> Mature:
    """Those that are old enough by the event time that every partition has reached.

    Args:
        unlabelled_count: whether one without a label counts, as legitimate.
    """
    if not len(pairs):
        nothing = np.empty(0, np.intp)
        return Mature(nothing, np.empty(0, np.bool_), nothing, None, 0, 0, 0)
    reached = [
        int(pairs.times[pairs.partitions == each].max()) for each in np.unique(pairs.partitions)
    ]
    watermark = min(reached)
    if labels.complete_to is not None:
        watermark = min(watermark, labels.complete_to)
    due = pairs.times + maturity_ms
    old = np.flatnonzero(due <= watermark)
    values = np.full(old.size, _UNKNOWN, np.int8)
    corrected = 0
    for place, row in enumerate(old.tolist()):
        known = labels.by_id.get(pairs.ids[row])
        if known is None:
            continue
        by_then = [each for each in known if each[0] <= due[row]]
        if by_then:
            values[place] = max(by_then)[1]
        after = [each for each in known if each[0] > due[row]]
        corrected += bool(after) and max(after)[1] != max(int(values[place]), 0)
    unlabelled = int((values == _UNKNOWN).sum())
    stopped = (pairs.champion == DECLINE) & (pairs.candidate != DECLINE)
    if unlabelled_count:  # else one that was let through has to have a label, as any other
        stopped &= ~pairs.let_through
    hidden = old[(values == _UNKNOWN) & stopped[old]]
    if not unlabelled_count:
        old, values = old[values != _UNKNOWN], values[values != _UNKNOWN]
    waiting = int((due > watermark).sum())
    return Mature(old, values == 1, hidden, watermark, unlabelled, corrected, waiting)
