"""From records of the feature log to shadow scores."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import NamedTuple, Protocol
from zlib import crc32

import msgspec
import numpy as np
import pyarrow as pa
from confluent_kafka import Message
from numpy.typing import NDArray

from inference.shadow.busy_share import LEAST_KEPT, BusyShare
from inference.shadow.candidates import CandidateAnswers
from inference.shadow.event_hash import id_hashes, partitions_of_ids
from inference.shadow.metrics import ShadowMetrics
from inference.shadow.shadow_record import ShadowScore
from inference.shadow.shadow_scores import (
    add_candidates,
    candidate_scores,
    policy_of,
    shadow_scores,
)
from streams.events.rejection import Reason, Rejected
from streams.feature_log import feature_columns, read_feature_log
from streams.loop.stateless.loop import Processed
from streams.transactions.outcome import Outgoing

_ROWS = 512
"""That candidates are asked about at once, about; one that fails on a row answers none of them."""


class _Record(NamedTuple):
    """Of a record of the feature log what is not shed: n events, and their vectors."""

    scores: list[ShadowScore]
    matrix: NDArray[np.float32]


class Infers(Protocol):
    """What answers for all candidates; see `Candidates`."""

    def infer(self, matrix: NDArray[np.float32]) -> dict[str, CandidateAnswers]:
        """What each that is answering says of the rows of a matrix."""


class ShadowTask:
    """The task of a `StatelessLoop` over the feature log.

    Args:
        names: of the columns that candidates were told to expect.
        topic: that shadow scores go to, each to the partition that its event's id says.
        partitions: how many that has, at this moment.
        max_lag: see `ShadowSettings`.
        lag: how many records there are to read.
        busy: how much of its time may go into this.
    """

    def __init__(
        self,
        candidates: Infers,
        names: Sequence[str],
        *,
        topic: str,
        partitions: Callable[[], int],
        max_lag: int,
        lag: Callable[[], int],
        busy: BusyShare,
        metrics: ShadowMetrics,
    ) -> None:
        self._candidates = candidates
        self._names = list(names)
        self._topic = topic
        self._partitions = partitions
        self._max_lag = max_lag
        self._lag = lag
        self._busy = busy
        self._metrics = metrics
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, messages: Sequence[Message]) -> Processed:
        """Score the events of some records."""
        kept, start = self._share_to_keep(), monotonic()
        bad: list[tuple[Message, Rejected]] = []
        counts: list[Callable[[], None]] = []
        scored: list[ShadowScore] = []
        waiting: list[_Record] = []
        for index, message in enumerate(messages):
            try:
                waiting.append(self._read(message, kept, counts))
            except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
                why = f"no record of the feature log as Weir writes it: {error}"
                bad.append((message, Rejected(index, Reason.BAD_BODY, None, why)))
            if sum(len(each.matrix) for each in waiting) >= _ROWS:
                scored += self._scored(waiting, counts)
                waiting = []
        scored += self._scored(waiting, counts)

        def count() -> None:
            for each in counts:
                each()

        ids = [each.event_id for each in scored]
        values, keys = list(map(self._encode, scored)), [str(each).encode() for each in ids]
        places = partitions_of_ids(id_hashes(ids), self._partitions()).tolist()
        self._busy.spend(monotonic() - start)
        return Processed([Outgoing(self._topic, values, keys, places)], bad, count)

    def _share_to_keep(self) -> float:
        lag, busy = self._lag(), self._busy.keep()
        return busy if lag <= self._max_lag else min(max(self._max_lag / lag, LEAST_KEPT), busy)

    def _read(self, message: Message, kept: float, counts: list[Callable[[], None]]) -> _Record:
        table = read_feature_log(message.value() or b"")
        matrix = feature_columns(table, self._names)
        if kept < 1.0:
            wanted = np.array([_place_of(each) < kept for each in table["event_id"].to_pylist()])
            shed = int(wanted.size - wanted.sum())
            counts.append(lambda: self._metrics.shed.inc(shed))
            matrix, table = matrix[wanted], table.filter(pa.array(wanted))
        partition, policy = message.partition() or 0, policy_of(table)
        return _Record(shadow_scores(table, partition, policy=policy, kept=kept), matrix)

    def _scored(
        self, records: Sequence[_Record], counts: list[Callable[[], None]]
    ) -> list[ShadowScore]:
        """What candidates say of some records, asked of all of them at once."""
        scores = [score for record in records for score in record.scores]
        if not scores:
            return []
        answers = self._candidates.infer(np.concatenate([record.matrix for record in records]))
        counts.append(lambda: self._metrics.count(answers, len(scores)))
        said_by = {
            name: candidate_scores(
                said.opened.package.short_id, said.opened.policy, said.outputs, len(scores)
            )
            for name, said in answers.items()
        }
        add_candidates(scores, said_by)
        return scores


def _place_of(event_id: int | str) -> float:
    """Where an event stands among all, in [0, 1): for every worker the same."""
    return crc32(str(event_id).encode()) / 2**32
