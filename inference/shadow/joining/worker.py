"""One worker of the shadow's second stage."""

from collections.abc import Callable, Mapping
from threading import Event

from prometheus_client import CollectorRegistry

from inference.shadow.comparison.terms import Terms
from inference.shadow.joining.join_task import JoinTask
from inference.shadow.joining.label_feed import LabelFeed
from inference.shadow.joining.metrics import JoinMetrics
from inference.shadow.settings import LINGER_MS, ShadowSettings
from streams.kafka.authorization import AuthorizationError
from streams.kafka.client import KafkaSettings
from streams.kafka.partition import PartitionId
from streams.kafka.topics.topic_partitions import TopicError
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.stateless.keyed_state import KeyedState
from streams.loop.stateless.loop import StatelessLoop
from streams.loop.stateless.metrics import LoopMetrics

_RECORDS = 5_000


class JoinWorker:
    """Reads shadow scores in a group of its own; any number share the work.

    Args:
        partitions: how many the topic of shadow scores has, at this moment.
        sources: how many the topic of the feature log has.
        metrics: of transactions and dead letters.
        widen: see `StatelessLoop`.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ShadowSettings,
        *,
        topics: TopicSettings,
        terms: Terms,
        partitions: Callable[[], int],
        sources: Callable[[], int],
        metrics: LoopMetrics,
        registry: CollectorRegistry,
        tolerant: bool,
        widen: Callable[[], None],
    ) -> None:
        state = KeyedState(kafka=kafka, topic=topics.shadow_evidence, source=topics.shadow_scores)
        self._labels = LabelFeed(kafka, topics.labels)
        task = JoinTask(
            state,
            self._labels,
            terms,
            partitions=partitions,
            sources=sources,
            metrics=JoinMetrics(registry),
        )
        self._loop = StatelessLoop(
            kafka=kafka,
            group=f"{settings.group}-join",
            worker=settings.worker_name,
            topics=[topics.shadow_scores],
            process=task,
            at_rest=task.at_rest,
            state=state,
            dead_letters=topics.dead_letters,
            max_batch=_RECORDS,
            linger=LINGER_MS,
            session_timeout=settings.session_timeout,
            transaction_timeout=settings.transaction_timeout,
            machine_errors=(TopicError, AuthorizationError),
            position_log=topics.positions,
            tolerant=tolerant,
            widen=widen,
            committed=metrics.count_committed,
            aborted=metrics.count_aborted,
            rejected=metrics.count_rejected,
        )

    @property
    def lag(self) -> Mapping[PartitionId, int]:
        """Shadow scores of each partition that were not read a moment ago; any thread may ask."""
        return self._loop.lag

    def waits_for(self) -> list[str]:
        """Why nothing is joined now, in words; nothing where it is. Any thread may ask."""
        if self._loop.ready:
            return []
        return ["joining the group of the second stage, or reading its state"]

    def run(self, stop: Event) -> None:
        """Join what comes until `stop` is set.

        Raises:
            Exception: see `StatelessLoop.run` and `LabelFeed.hear`.
        """
        with self._labels:
            self._loop.run(stop)
