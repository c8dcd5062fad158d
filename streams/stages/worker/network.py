"""The stages of a plan on topics: which there are, and what is done with their partitions."""

import logging
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.events.json_decoder import Decoder
from streams.features.erasures import Erasures
from streams.features.feature_rows import FeatureRows
from streams.features.window_settings import WindowSettings
from streams.intake.input_batch import InputBatch
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics.topic_partitions import TopicError, partitions_of
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.fused.task import Answers
from streams.stages.common.names import StageTopics
from streams.stages.common.split import StagedPlan
from streams.stages.common.task import StageTask
from streams.stages.entity.entity_stage import EntityStage
from streams.stages.entity.entity_task import EntityTask
from streams.stages.join.join_task import JoinTask
from streams.stages.join.joiner import Joiner
from streams.stages.route.label_router import LabelRouter
from streams.stages.route.route_task import RouteTask
from streams.stages.route.router import EventRouter
from streams.stages.route.routing import CountRouted
from streams.stages.worker.metadata_room import check_metadata_room
from streams.stages.worker.stage_topics import refuse_moved_keys

logger = logging.getLogger(__name__)

_ENDS_FRESH_S = 1.0
_TIMEOUT_S = 10.0
_UNKNOWN_END = 2**63 - 1


class StageNetwork:
    """Makes the tasks of one feature plan.

    Args:
        decoder: decodes events.
        answer, check: see `JoinTask`.
        count: see `Router`.
        count_repeats, count_forgotten: see `EventRouter`.
        now_ms: the wall clock, UTC milliseconds.
        erasures: see `FeatureState`.
        tolerant: see `streams.stages.worker.stage_topics.ensure_stage_topics`.

    Raises:
        TopicError: the topics have too many partitions to keep track of.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        plan: StagedPlan,
        *,
        topics: TopicSettings,
        stages: StageTopics,
        windows: WindowSettings,
        alignment: AlignmentSettings,
        decoder: Decoder,
        answer: Callable[[InputBatch, FeatureRows, float], Answers],
        check: Callable[[], None],
        count: CountRouted,
        now_ms: Callable[[], int],
        count_repeats: Callable[[int], None] = lambda _: None,
        count_forgotten: Callable[[int], None] = lambda _: None,
        tolerant: bool = False,
        erasures: Erasures | None = None,
    ) -> None:
        self._kafka = kafka
        self._plan = plan
        self._topics = topics
        self._stages = stages
        self._windows = windows
        self._alignment = alignment
        self._decoder = decoder
        self._answer = answer
        self._check = check
        self._count = count
        self._now_ms = now_ms
        self._count_repeats = count_repeats
        self._count_forgotten = count_forgotten
        self._parts = {stages.by_entity(part.entity): part for part in plan.parts}
        self._tolerant = tolerant
        self._erasures = erasures
        self._targets: dict[str, int] = {}
        self._events = 0
        self.count_partitions()

    def count_partitions(self) -> None:
        """Ask how many partitions the topics have, for the tasks that are made from now on.

        Raises:
            TopicError: the topics have too many partitions to keep track of, or a topic between
                the stages has got some.
            KeysMovedError: see `refuse_moved_keys`.
        """
        topics, plan = self._topics, self._plan
        counts = partitions_of(connect(self._kafka), [topics.events, topics.labels, *self._parts])
        targets = {part.entity: counts[topic] for topic, part in self._parts.items()}
        if self._targets and targets != self._targets:
            raise TopicError(
                f"topics between the stages have other numbers of partitions now ({targets}) than "
                f"when this worker started ({self._targets}), so what their windows hold is in the "
                "wrong ones: stop all workers, and start them with a new stages.prefix"
            )
        self._targets = targets
        if self._events and not self._tolerant:
            refuse_moved_keys(plan, topics.events, self._events, counts[topics.events])
        self._events = counts[topics.events]
        self._labels = counts[topics.labels] if plan.whole.reads_labels else 0
        check_metadata_room(plan, self._stages, self._events, self._labels)
        self._ends = _SourceEnds(self._kafka, self._sources())

    @property
    def topics(self) -> list[str]:
        """All topics that a worker reads."""
        labels = [self._topics.labels] if self._labels else []
        return [self._topics.events, *labels, *self._parts, self._stages.enriched]

    @property
    def targets(self) -> dict[str, int]:
        """How many partitions the topic of each entity has."""
        return self._targets

    def new_task(self, topic: str, partition: int) -> StageTask:
        """The task of a partition of one of the topics."""
        plan, dead_letters = self._plan, self._topics.dead_letters
        if topic == self._topics.events:
            return RouteTask(
                EventRouter(
                    plan,
                    self._stages,
                    partition,
                    self._targets,
                    dead_letters,
                    self._now_ms,
                    self._count,
                    self._decoder,
                    self._count_repeats,
                    self._count_forgotten,
                )
            )
        if topic == self._topics.labels:
            return RouteTask(
                LabelRouter(
                    plan,
                    self._stages,
                    partition,
                    self._targets,
                    dead_letters,
                    self._now_ms,
                    self._count,
                )
            )
        if topic == self._stages.enriched:
            joiner = Joiner(plan.whole.contract, plan, self._windows, partition, self._erasures)
            return JoinTask(joiner, self._answer, self._check, self._refetch)
        stage = EntityStage(
            plan.whole.contract,
            part=self._parts[topic],
            windows=self._windows,
            alignment=self._alignment,
            events=self._events,
            labels=self._labels,
            enriched=self._stages.enriched,
            now_ms=self._now_ms,
            erasures=self._erasures,
        )
        return EntityTask(stage, self._ends)

    def _sources(self) -> dict[tuple[bool, int], TopicPartition]:
        events = {(True, p): TopicPartition(self._topics.events, p) for p in range(self._events)}
        labels = {(False, p): TopicPartition(self._topics.labels, p) for p in range(self._labels)}
        return events | labels

    def _refetch(self, partition: int, offset: int) -> Message | None:
        consumer: Any = Consumer(self._kafka.consumer_config(group_id="weir-reader"))
        try:
            consumer.assign([TopicPartition(self._topics.events, partition, offset)])
            found: Sequence[Message] = consumer.consume(1, _TIMEOUT_S)
        finally:
            consumer.close()
        exact = [each for each in found if each.error() is None and each.offset() == offset]
        return exact[0] if exact else None


class _SourceEnds:
    """Where the source partitions end, as known a moment ago."""

    def __init__(
        self, kafka: KafkaSettings, sources: Mapping[tuple[bool, int], TopicPartition]
    ) -> None:
        self._kafka = kafka
        self._sources = sources
        self._admin: AdminClient | None = None
        self._ends = dict.fromkeys(sources, _UNKNOWN_END)
        self._asked_at = -_ENDS_FRESH_S

    def __call__(self) -> Mapping[tuple[bool, int], int]:
        if monotonic() - self._asked_at >= _ENDS_FRESH_S:
            if self._admin is None:
                self._admin = AdminClient(self._kafka.client_config())
            self._asked_at = monotonic()
            answers: Any = self._admin.list_offsets(
                {place: OffsetSpec.latest() for place in self._sources.values()},
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=_TIMEOUT_S,
            )
            try:
                ends = {(a.topic, a.partition): f.result().offset for a, f in answers.items()}
            except KafkaException as error:
                logger.warning(
                    "can't read the end offsets of the source topics, using the last known ones: "
                    "%s",
                    error.args[0].str(),
                )
                return self._ends
            self._ends = {
                key: ends[place.topic, place.partition] for key, place in self._sources.items()
            }
        return self._ends
