"""One worker of the monitor: it counts what the feature log holds, and one of all looks at it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event

import msgspec
from confluent_kafka import Consumer
from prometheus_client import CollectorRegistry, Counter

from inference.shadow.comparison.terms import Terms
from inference.shadow.joining.label_feed import LabelFeed
from monitoring.alerts.settings import AlertSettings
from monitoring.alerts.webhook import Webhook
from monitoring.counting.counting_task import CountingTask
from monitoring.counting.letter_task import LetterTask
from monitoring.counting.model_bins import ModelBins
from monitoring.counting.stream_counter import StreamCounter
from monitoring.counting.unread_watch import UnreadWatch
from monitoring.drift.drift_task import DriftTask
from monitoring.drift.metrics import DriftMetrics
from monitoring.episodes.episode import Episode
from monitoring.losses.loss_watch import LossWatch
from monitoring.performance.cohort_writer import CohortWriter
from monitoring.performance.metrics import PerformanceMetrics
from monitoring.performance.settings import PerformanceSettings
from monitoring.performance.store import PerformanceStore
from monitoring.performance.task import PerformanceTask
from monitoring.performance.watch import WatchTerms
from monitoring.settings import MonitorSettings
from streams.base.beside import beside
from streams.base.clock import now_ms
from streams.kafka.authorization import AuthorizationError
from streams.kafka.client import KafkaSettings
from streams.kafka.partition import PartitionId
from streams.kafka.records.consuming import bounds_of
from streams.kafka.topics.topic_partitions import TopicError
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.stateless.keyed_state import KeyedState
from streams.loop.stateless.loop import StatelessLoop
from streams.loop.stateless.metrics import LoopMetrics

_RECORDS = 64
"""Of the feature log in one transaction; each holds the events of one of the scorer's."""
_COUNTS = 2_000
_LETTERS = 2_000


@dataclass(frozen=True)
class Performance:
    """How performance is counted; see `PerformanceTask`, and `CohortWriter` for the store."""

    settings: PerformanceSettings
    terms: Terms
    anomaly: float
    open_store: Callable[[], PerformanceStore]


class MonitorMetrics(LoopMetrics):
    """All that a worker says of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(
            registry, "Records of the feature log, dead letters, or counts, to be read"
        )
        self.uncounted = Counter(
            "weir_monitor_uncounted_events",
            "Events of models that are not in the registry any more, or are damaged there",
            registry=registry,
        )
        self.drift = DriftMetrics(registry)
        self.performance = PerformanceMetrics(registry)


class MonitorWorker:
    """All stages in one process: each stops where another fails.

    The partitions of the feature log, and those of the dead letters, are shared by all workers. The
    topic of counts has one partition, so one worker sees the whole stream, and another takes its
    place when it ends. Counts and offsets are one transaction, and so are episodes, state and
    offsets: whatever is killed when, each event counts once, and each episode is said once.

    Args:
        bins: what is counted of a model; one for each stage, since each runs in its own thread.
        fields: features that are fields of the event, as its sender chose them.
        widen: see `StatelessLoop`.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: MonitorSettings,
        *,
        topics: TopicSettings,
        bins: Callable[[], Callable[[str], ModelBins | None]],
        fields: Sequence[str],
        performance: Performance,
        alerts: AlertSettings,
        registry: CollectorRegistry,
        tolerant: bool,
        widen: Callable[[], None],
    ) -> None:
        metrics = MonitorMetrics(registry)
        self._webhook = Webhook(alerts, registry)
        metrics.lag = lambda: self.lag
        state = KeyedState(kafka=kafka, topic=topics.drift_state, source=topics.drift_counts)

        def loop(group: str, source: str, **more: object) -> StatelessLoop:
            return StatelessLoop(
                kafka=kafka,
                group=group,
                worker=settings.worker_name,
                topics=[source],
                dead_letters=topics.dead_letters,
                session_timeout=settings.session_timeout,
                transaction_timeout=settings.transaction_timeout,
                position_log=topics.positions,
                tolerant=tolerant,
                committed=metrics.count_committed,
                aborted=metrics.count_aborted,
                rejected=metrics.count_rejected,
                **more,  # type: ignore[arg-type]
            )

        known = KeyedState(kafka=kafka, topic=topics.performance_state, source=topics.feature_log)
        self._labels = LabelFeed(kafka, topics.labels)
        self._writer = CohortWriter(performance.open_store)
        counting = CountingTask(
            bins(),
            topic=topics.drift_counts,
            interval=settings.interval,
            producer=settings.producer,
            segments=settings.segments,
            uncounted=metrics.uncounted.inc,
            unread=UnreadWatch(
                lambda: self._counting.unread(),
                lambda: self._counting.unread_elsewhere(),
                settings.lateness,
            ),
            also=PerformanceTask(
                known,
                self._labels,
                performance.terms,
                performance.settings,
                source=topics.feature_log,
                anomaly=performance.anomaly,
                writer=self._writer,
                metrics=metrics.performance,
            ),
            stream=StreamCounter(
                settings.interval,
                fields,
                settings.bounds,
                lambda partition: (known.of(partition), known.of(partition).taken_back),
            ),
        )
        self._counting = loop(
            settings.group,
            topics.feature_log,
            process=counting,
            at_rest=counting.at_rest,
            state=known,
            machine_errors=(TopicError, AuthorizationError),
            max_batch=_RECORDS,
            widen=widen,
        )
        self._letters = loop(
            f"{settings.group}-letters",
            topics.dead_letters,
            process=LetterTask(
                {topics.events, topics.labels},
                topic=topics.drift_counts,
                producer=settings.producer,
                lag=lambda: self._letters.lag,
            ),
            max_batch=_LETTERS,
        )
        self._watching = loop(
            f"{settings.group}-drift",
            topics.drift_counts,
            process=DriftTask(
                state,
                bins(),
                settings,
                topic=topics.drift,
                losses=lambda known: LossWatch(
                    known, performance.terms, WatchTerms.of(performance.settings)
                ),
                partitions=lambda: _not_empty(kafka, topics.feature_log),
                metrics=metrics.drift,
                told=self._alert,
            ),
            state=state,
            max_batch=_COUNTS,
        )

    def _alert(self, episode: Episode) -> None:
        """Tell the webhook, unless nobody is to be called."""
        if episode.snoozed_until is None or episode.snoozed_until <= now_ms():
            self._webhook.send(msgspec.to_builtins(episode))

    def waits_for(self) -> list[str]:
        """Why nothing is watched now, in words; nothing where it is. Any thread may ask."""
        stages = {
            "counting events": self._counting,
            "counting dead letters": self._letters,
            "watching for drift": self._watching,
        }
        return [
            f"{what}: joining the group, or finding where to read on"
            for what, loop in stages.items()
            if not loop.ready
        ]

    @property
    def lag(self) -> Mapping[PartitionId, int]:
        """Records of each partition that were not read a moment ago; any thread may ask."""
        return {**self._counting.lag, **self._letters.lag, **self._watching.lag}

    def run(self, stop: Event) -> str:
        """Watch what comes until `stop` is set; what is true then.

        Raises:
            Exception: see `StatelessLoop.run`.
        """
        drift = beside(lambda: self._watching.run(stop), stop, "drift")
        cohorts = beside(lambda: self._writer.run(stop), stop, "cohorts")
        letters = beside(lambda: self._letters.run(stop), stop, "letters")
        with self._webhook, self._labels, drift, cohorts, letters:
            try:
                self._counting.run(stop)
            finally:
                stop.set()
        return "the last transaction is committed"


def _not_empty(kafka: KafkaSettings, topic: str) -> set[int]:
    """The partitions of a topic that hold anything.

    Raises:
        KafkaException: the cluster does not say.
    """
    consumer = Consumer(kafka.consumer_config(group_id="weir-reader"))
    try:
        bounds = bounds_of(consumer, topic, kafka.who)
    finally:
        consumer.close()
    return {partition for partition, (low, high) in bounds.items() if low < high}
