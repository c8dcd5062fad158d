"""From records of the feature log to shadow scores."""

from collections.abc import Callable, Sequence
from typing import Protocol
from zlib import crc32

import msgspec
import numpy as np
import pyarrow as pa
from confluent_kafka import Message
from numpy.typing import NDArray

from inference.shadow.candidates import CandidateAnswers
from inference.shadow.event_hash import id_hashes, partitions_of_ids
from inference.shadow.metrics import ShadowMetrics
from inference.shadow.shadow_record import ShadowScore
from inference.shadow.shadow_scores import candidate_scores, policy_of, shadow_scores
from streams.events.rejection import Reason, Rejected
from streams.feature_log import feature_columns, read_feature_log
from streams.loop.stateless.loop import Processed
from streams.transactions.outcome import Outgoing

_LEAST_KEPT = 1 / 64


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
        metrics: ShadowMetrics,
    ) -> None:
        self._candidates = candidates
        self._names = list(names)
        self._topic = topic
        self._partitions = partitions
        self._max_lag = max_lag
        self._lag = lag
        self._metrics = metrics
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, messages: Sequence[Message]) -> Processed:
        """Score the events of some records, each record at once."""
        values: list[bytes] = []
        ids: list[int | str] = []
        keys: list[bytes] = []
        bad: list[tuple[Message, Rejected]] = []
        counts: list[Callable[[], None]] = []
        kept = self._share_to_keep()
        for index, message in enumerate(messages):
            try:
                scored = self._scored(message, kept, counts)
            except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
                why = f"no record of the feature log as Weir writes it: {error}"
                bad.append((message, Rejected(index, Reason.BAD_BODY, None, why)))
                continue
            values += map(self._encode, scored)
            ids += [each.event_id for each in scored]
            keys += [str(each.event_id).encode() for each in scored]

        def count() -> None:
            for each in counts:
                each()

        places = partitions_of_ids(id_hashes(ids), self._partitions()).tolist()
        return Processed([Outgoing(self._topic, values, keys, places)], bad, count)

    def _share_to_keep(self) -> float:
        lag = self._lag()
        return 1.0 if lag <= self._max_lag else max(self._max_lag / lag, _LEAST_KEPT)

    def _scored(
        self, message: Message, kept: float, counts: list[Callable[[], None]]
    ) -> list[ShadowScore]:
        table = read_feature_log(message.value() or b"")
        matrix = feature_columns(table, self._names)
        if kept < 1.0:
            wanted = np.array([_place_of(each) < kept for each in table["event_id"].to_pylist()])
            shed = int(wanted.size - wanted.sum())
            counts.append(lambda: self._metrics.shed.inc(shed))
            matrix, table = matrix[wanted], table.filter(pa.array(wanted))
        if not table.num_rows:
            return []
        answers = self._candidates.infer(matrix)
        count = table.num_rows
        by_candidate = {
            name: candidate_scores(
                said.opened.package.short_id, said.opened.policy, said.outputs, count
            )
            for name, said in answers.items()
        }
        counts.append(lambda: self._metrics.count(answers, count))
        partition = message.partition() or 0
        return shadow_scores(table, partition, by_candidate, policy=policy_of(table), kept=kept)


def _place_of(event_id: int | str) -> float:
    """Where an event stands among all, in [0, 1): for every worker the same."""
    return crc32(str(event_id).encode()) / 2**32
