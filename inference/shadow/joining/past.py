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
from inference.shadow.joining.gathering import gather
from inference.shadow.joining.label_feed import LabelFeed
from inference.shadow.joining.partition_join import PartitionJoin
from inference.shadow.shadow_scores import candidate_scores, shadow_scores
from streams.feature_log import feature_columns, read_feature_log
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.loop.stateless.keyed_state import PartitionState

Progress = Callable[[int, int], None]


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
        self._terms = terms
        self._infer = infer
        self._names = list(names)
        self._model = model
        self._policy = policy
        self._state = PartitionState({})
        self._join = PartitionJoin(self._state, 0, 1, terms)

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
        if not self._join.candidates:
            raise NothingToCompareError(f"nothing of that time stands on {topic!r}")
        self._join.candidates[self._model].leave_out(left_out)

    def judge(
        self, kafka: KafkaSettings, topic: str, progress: Progress = lambda done, total: None
    ) -> Gathered:
        """What comes of it by the labels that stand there now.

        Raises:
            ValueError: there is no such topic.
            KafkaException: the cluster failed.
        """
        with LabelFeed(kafka, topic) as labels:
            while not labels.hear({0: self._join}):
                progress(*labels.read)
        self._join.mature()
        return gather(self._model, [self._state.items()], self._terms)

    def _answer(self, table: pa.Table, matrix: NDArray[np.float32], partition: int) -> None:
        if table.num_rows:
            outputs, version = self._infer(matrix), self._policy.version
            said = candidate_scores(self._model, self._policy, outputs, table.num_rows)
            scores = shadow_scores(table, partition, {self._model: said}, policy=version)
            self._join.arrive(scores)
            self._state.commit()


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
