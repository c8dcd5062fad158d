"""Counts cohorts of the partitions of ours: a part of the task of a `StatelessLoop`."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from inference.shadow.comparison.terms import Terms
from inference.shadow.joining.label_feed import LabelFeed
from monitoring.performance.cohort_writer import CohortWriter
from monitoring.performance.join import PerformanceJoin
from monitoring.performance.metrics import PerformanceMetrics
from monitoring.performance.scored_rows import scored_rows
from monitoring.performance.settings import PerformanceSettings
from monitoring.performance.store import CohortPart
from monitoring.performance.telling import tell
from streams.base.clock import now_ms
from streams.loop.stateless.keyed_state import KeyedState, PartitionState


class PerformanceTask:
    """Changes the state of partitions of ours, under keys that begin with `join.PREFIX`.

    Args:
        state: its source is the topic of the feature log.
        source: that topic.
        anomaly: from which on an event counts as anomalous.
    """

    def __init__(
        self,
        state: KeyedState,
        labels: LabelFeed,
        terms: Terms,
        settings: PerformanceSettings,
        *,
        source: str,
        anomaly: float,
        writer: CohortWriter,
        metrics: PerformanceMetrics,
    ) -> None:
        self._state = state
        self._labels = labels
        self._terms = terms
        self._settings = settings
        self._source = source
        self._anomaly = anomaly
        self._writer = writer
        self._metrics = metrics
        self._joins: dict[int, tuple[PartitionState, int, PerformanceJoin]] = {}

    def take(self, partition: int, table: pa.Table) -> None:
        """Take in a record of the feature log.

        Raises:
            ValueError, KeyError: it is not as Weir writes it; nothing has changed then.
        """
        join = self._of_ours()[partition]
        anomalous = table["anomaly"].to_numpy() >= self._anomaly
        rows = scored_rows(table, self._terms.amount, join.code_of)
        join.arrive(rows, np.asarray(anomalous))

    def settle(self) -> tuple[list[bytes], Callable[[], None]]:
        """Judge what is mature by now, and write down what has changed, at the end of a batch.

        Returns records for the second stage, and what is to be called once all is committed.

        Raises:
            TopicError, AuthorizationError, KafkaException: see `LabelFeed.hear`.
        """
        joins = {
            partition: join
            for partition, join in self._of_ours().items()
            if join.progress.watermark is not None
        }
        if joins and self._labels.hear(joins):
            for join in joins.values():
                join.mature()
        parts, told, stamp = [], [], now_ms()
        for partition, join in joins.items():
            told += tell(partition, join)
            join.write()
            name, watermark = f"{self._source}/{partition}", join.progress.watermark or 0
            parts += [
                CohortPart(key, name, stamp, watermark, join.cohorts[key])
                for key in sorted(join.untold)
            ]
            join.untold.clear()

        def once_committed() -> None:
            self._writer.put(parts)
            self._metrics.show(joins.values(), self._writer.waiting)

        return told, once_committed

    def _of_ours(self) -> dict[int, PerformanceJoin]:
        """What is ours now; made of its state again where that was taken back."""
        found = {}
        for number in self._state.partitions:
            state = self._state.of(number)
            known = self._joins.get(number)
            if known is None or known[:2] != (state, state.taken_back):
                settings = self._settings
                join = PerformanceJoin(
                    state, self._terms, most=settings.max_waiting, keep=settings.keep
                )
                known = state, state.taken_back, join
            found[number] = known
        self._joins = found
        return {number: join for number, (*_, join) in found.items()}
