"""What stands in the scores and labels topics, in columns."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from inference.serving.score_record import Score
from streams.events.contract import EventContract
from streams.events.json_decoder import Decoder, TryAgainLaterError
from streams.events.labels import label_contract, read_progress
from streams.events.record_batch import RecordBatch
from streams.files.columns import UNLABELLED
from streams.kafka.client import KafkaSettings
from streams.kafka.message import headers_of
from streams.kafka.records.consuming import read_to_end

Progress = Callable[[int, int], None]

_PATIENCE_S, _PAUSE_S = 30.0, 0.2
"""How long a schema registry that does not answer is waited for."""


def _silent(done: int, total: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class LabelledScores:
    """All answers, in the order of event time and id; `duplicates` counts further ones to an id.

    Scores and probabilities are ``NaN`` where the policy's fallback answered.

    Partitions are read in any order, and what is computed from answers must not depend on it, not
    even in the last digit.
    """

    ids: list[Any]
    keys: list[Any]
    times: NDArray[np.int64]
    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.str_]
    duplicates: int


def read_scores(kafka: KafkaSettings, topic: str, progress: Progress = _silent) -> LabelledScores:
    """Read the scores topic to its present end; the first answer to an event counts.

    Raises:
        ValueError: there is no such topic, or a record in it is no answer of a scorer.
    """
    decode = msgspec.json.Decoder(Score).decode
    seen: dict[Any, Score] = {}
    total = 0
    for batch in read_to_end(kafka, topic, progress):
        for message in batch:
            try:
                score = decode(message.value() or b"")
            except msgspec.DecodeError as error:
                raise ValueError(
                    f"topic {topic!r}, partition {message.partition()}, offset "
                    f"{message.offset()}: not an answer of a scorer ({error}): is topics.scores "
                    "the right topic?"
                ) from error
            total += 1
            seen.setdefault(score.event_id, score)
    scores = sorted(seen.values(), key=lambda score: (score.event_time, str(score.event_id)))
    return LabelledScores(
        ids=[score.event_id for score in scores],
        keys=[score.key for score in scores],
        times=np.array([score.event_time for score in scores], np.int64),
        scores=np.array([score.score for score in scores], np.float64),
        probabilities=np.array([score.probability for score in scores], np.float64),
        decisions=np.array([score.decision for score in scores], dtype=np.str_),
        duplicates=total - len(seen),
    )


@dataclass(frozen=True)
class SentEvents:
    """The events that were sent, by their ids.

    Attributes:
        times: of each id, UTC milliseconds; of an id that stands there again, the first one's.
        repeated: ids that stand there more than once.
    """

    times: dict[Any, int]
    repeated: set[Any]


def read_events(
    kafka: KafkaSettings, topic: str, decoder: Decoder, progress: Progress = _silent
) -> SentEvents:
    """Read the events topic to its present end; what is no event has no id, and is left out.

    Raises:
        ValueError: there is no such topic, or the schema registry does not answer for half a
            minute.
    """
    times: dict[Any, int] = {}
    repeated: set[Any] = set()
    for batch in read_to_end(kafka, topic, progress):
        arrived = np.array([message.timestamp()[1] for message in batch], np.int64)
        events = _decode_patiently(decoder, [message.value() for message in batch], arrived)
        for event, time in zip(events.ids, events.times.tolist(), strict=True):
            if event in times:
                repeated.add(event)
            else:
                times[event] = time
    return SentEvents(times, repeated)


def _decode_patiently(
    decoder: Decoder, values: list[bytes | None], arrived: NDArray[np.int64]
) -> RecordBatch:
    deadline = monotonic() + _PATIENCE_S
    while True:
        try:
            return decoder.decode(values, arrived).events
        except TryAgainLaterError as error:
            if monotonic() > deadline:
                raise ValueError(f"events can't be decoded: {error}") from error
            sleep(_PAUSE_S)


def read_labels(
    kafka: KafkaSettings, topic: str, contract: EventContract, progress: Progress = _silent
) -> dict[Any, int]:
    """Read the labels topic to its present end: event id to 1 or 0; the latest word counts."""
    decoder = Decoder(label_contract(contract))
    labels: dict[Any, int] = {}
    for batch in read_to_end(kafka, topic, progress):
        records = [
            m for m in batch if m.value() is not None or read_progress(headers_of(m)) is None
        ]
        arrived = np.array([message.timestamp()[1] for message in records], np.int64)
        known = decoder.decode([message.value() for message in records], arrived).events
        labels.update(zip(known.ids, map(int, known.values("label")), strict=True))
    return labels


def join_labels(ids: list[Any], labels: dict[Any, int]) -> NDArray[np.int8]:
    """The label of each event, `UNLABELLED` where none is known, shape (n,)."""
    return np.array([labels.get(event, UNLABELLED) for event in ids], np.int8)
