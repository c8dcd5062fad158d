"""From records of the feature log to shadow scores."""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Protocol
from zlib import crc32

import msgspec
import numpy as np
import pyarrow as pa
from confluent_kafka import Message
from msgspec import UNSET
from numpy.typing import NDArray

from inference.policy.policy import DECISIONS
from inference.shadow.candidates import CandidateAnswers
from inference.shadow.metrics import ShadowMetrics
from inference.shadow.shadow_record import CandidateScore, ShadowScore
from streams.events.rejection import Reason, Rejected
from streams.feature_log import approve_through_of, feature_columns, read_feature_log
from streams.loop.stateless.loop import Processed
from streams.transactions.outcome import Outgoing

_LEAST_KEPT = 1 / 64
_LONGEST_ERROR = 200


class Infers(Protocol):
    """What answers for all candidates; see `Candidates`."""

    def infer(self, matrix: NDArray[np.float32]) -> dict[str, CandidateAnswers]:
        """What each that is answering says of the rows of a matrix."""


class ShadowTask:
    """The task of a `StatelessLoop` over the feature log.

    Args:
        names: of the columns that candidates were told to expect.
        topic: that shadow scores go to.
        max_lag: see `ShadowSettings`.
        lag: how many records there are to read.
    """

    def __init__(
        self,
        candidates: Infers,
        names: Sequence[str],
        *,
        topic: str,
        max_lag: int,
        lag: Callable[[], int],
        metrics: ShadowMetrics,
    ) -> None:
        self._candidates = candidates
        self._names = list(names)
        self._topic = topic
        self._max_lag = max_lag
        self._lag = lag
        self._metrics = metrics
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, messages: Sequence[Message]) -> Processed:
        """Score the events of some records, each record at once."""
        values: list[bytes] = []
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
            keys += [str(each.event_id).encode() for each in scored]

        def count() -> None:
            for each in counts:
                each()

        return Processed([Outgoing(self._topic, values, keys, [-1] * len(values))], bad, count)

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
        by_candidate = {name: _scores(said, table.num_rows) for name, said in answers.items()}
        counts.append(lambda: self._metrics.count(answers, table.num_rows))
        asked = [
            dict(zip(by_candidate, row, strict=True))
            for row in (zip(*by_candidate.values(), strict=True) if by_candidate else ())
        ] or [{} for _ in range(table.num_rows)]
        policy = (table.schema.metadata or {}).get(b"weir.policy", b"").decode()
        times = table["event_time"].cast(pa.int64()).to_pylist()
        return list(
            map(
                ShadowScore,
                table["event_id"].to_pylist(),
                table["key"].to_pylist(),
                times,
                repeat(message.partition() or 0),
                table["offset"].to_pylist(),
                table["model"].to_pylist(),
                repeat(policy),
                *(table[name].to_pylist() for name in ("arm", "share", "propensity")),
                *(table[name].to_pylist() for name in ("score", "probability", "anomaly")),
                table["decision"].to_pylist(),
                table["fallback"].to_pylist(),
                table["context"].to_pylist(),
                repeat(kept),
                asked,
                (UNSET if each is None else each for each in approve_through_of(table)),
            )
        )


def _place_of(event_id: int | str) -> float:
    """Where an event stands among all, in [0, 1): for every worker the same."""
    return crc32(str(event_id).encode()) / 2**32


def _scores(said: CandidateAnswers, count: int) -> list[CandidateScore]:
    model, policy = said.opened.package.short_id, said.opened.policy
    if isinstance(said.outputs, str):
        return [CandidateScore(model, policy.version, error=said.outputs[:_LONGEST_ERROR])] * count
    decided = policy.decide(said.outputs)
    columns: list[list[Any]] = [column.tolist() for column in said.outputs]
    return list(
        map(
            CandidateScore,
            repeat(model),
            repeat(policy.version),
            *columns,
            map(DECISIONS.__getitem__, decided.tolist()),
        )
    )
