"""What another model, or another policy, would have said of the past: from the feature log."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.engine.protocol import Outputs
from inference.policy.policy import Policy
from inference.shadow.comparison.gathered import Gathered
from inference.shadow.comparison.rows import NothingToCompareError
from inference.shadow.comparison.terms import Terms
from inference.shadow.joining.in_memory import InMemoryJoin, Progress
from inference.shadow.shadow_scores import add_candidates, candidate_scores, shadow_scores
from streams.feature_log import feature_columns, read_feature_log
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end


class Past:
    """The second stage of the shadow over all that stands in the feature log, in memory.

    Args:
        infer: the model's answers to rows of these names.
        model: its name in scores.
    """

    def __init__(
        self,
        terms: Terms,
        *,
        infer: Callable[[NDArray[np.float32]], Outputs],
        names: Sequence[str],
        model: str,
        policy: Policy,
    ) -> None:
        self._infer = infer
        self._names = list(names)
        self._model = model
        self._policy = policy
        self._join = InMemoryJoin(model, terms)

    def ask(
        self,
        kafka: KafkaSettings,
        topic: str,
        *,
        first_ms: int | None = None,
        end_ms: int | None = None,
        progress: Progress = lambda done, total: None,
    ) -> None:
        """Ask about all events of a time, on the vectors that were scored then.

        Args:
            first_ms, end_ms: event times; the end is left out.

        Raises:
            NothingToCompareError: nothing stands there of that time.
            ValueError: there is no such topic.
            KafkaException: the cluster failed.
        """
        left_out: Counter[str] = Counter()
        for batch in read_to_end(kafka, topic, progress):
            for message in batch:
                try:
                    table = read_feature_log(message.value() or b"")
                    table = table.filter(pa.array(_within(table, first_ms, end_ms)))
                    matrix = feature_columns(table, self._names)
                    self._answer(table, matrix, message.partition() or 0)
                except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException):
                    left_out["unreadable"] += 1
        if not self._join.has_pairs:
            raise NothingToCompareError(f"nothing of that time stands on {topic!r}")
        self._join.leave_out(left_out)

    def judge(
        self, kafka: KafkaSettings, topic: str, progress: Progress = lambda done, total: None
    ) -> Gathered:
        """What comes of it by the labels that stand there now.

        Raises:
            TopicError: there is no such topic.
            KafkaException: the cluster failed.
        """
        return self._join.judge(kafka, topic, progress)

    def _answer(self, table: pa.Table, matrix: NDArray[np.float32], partition: int) -> None:
        if table.num_rows:
            outputs, version = self._infer(matrix), self._policy.version
            said = candidate_scores(self._model, self._policy, outputs, table.num_rows)
            scores = shadow_scores(table, partition, policy=version)
            add_candidates(scores, {self._model: said})
            self._join.arrive(scores)


def _within(table: pa.Table, first_ms: int | None, end_ms: int | None) -> NDArray[np.bool_]:
    times = _times(table)
    wanted = np.ones(times.size, np.bool_)
    if first_ms is not None:
        wanted &= times >= first_ms
    if end_ms is not None:
        wanted &= times < end_ms
    return wanted


def _times(table: pa.Table) -> NDArray[np.int64]:
    times: NDArray[np.int64] = table["event_time"].cast(pa.int64()).to_numpy()
    return times
