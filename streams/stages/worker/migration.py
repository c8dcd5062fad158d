"""From stage topics of one set of features to those of another, each event answered once.

Records between the stages hold what was made for certain features, and offsets behind them what was
answered. So other features need other stage topics (``stages.prefix``) and the same group: the
first worker that finds the group empty has all events routed again, into the new topics, and the
join there answers from where the join here has ended.
"""

import logging
from collections.abc import Mapping
from threading import Event
from time import monotonic
from typing import Any

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.base.errors import WRONG_USE, WeirError
from streams.events.json_decoder import Decoder
from streams.intake.position import NO_TIME
from streams.kafka.authorization import is_denial
from streams.kafka.client import KafkaSettings, stable_offsets, watermarks
from streams.kafka.partition import PartitionId
from streams.kafka.records.consuming import is_end, read_ready
from streams.kafka.topics.topic_partitions import partitions_of
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.fused.restorer import complain_of_missing_history
from streams.loop.settings import LoopSettings
from streams.snapshots import SnapshotSettings
from streams.stages.common.feature_version import Version
from streams.stages.common.names import StageTopics
from streams.stages.common.split import StagedPlan
from streams.stages.common.step import StagePosition, position_of, unpack
from streams.stages.route.routing import Routed
from streams.stages.worker.migrated_offsets import migrated_offsets
from streams.stages.worker.overview import workers_of
from streams.stages.worker.stage_topics import stage_topic_names

logger = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
_AGAIN_S = 1.0
_SPARE_S = 10.0
_POLL_S = 0.2
_LOOK = 100

Committed = dict[PartitionId, StagePosition | None]


class FeaturesChangedError(WeirError):
    """The topics between the stages are of other features, or of another group."""

    exit_code = WRONG_USE


class FormerWorkersError(WeirError):
    """Workers with other features are still at work."""


class Migration:
    """Sees to it that a group's stage topics are of the features that a worker computes.

    Args:
        targets: how many partitions the topic of each entity has.
        memory_ms: how far back the windows look, lateness included.
        decoder: decodes events.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        loop: LoopSettings,
        snapshots: SnapshotSettings,
        plan: StagedPlan,
        topics: TopicSettings,
        stages: StageTopics,
        targets: Mapping[str, int],
        memory_ms: int,
        decoder: Decoder,
    ) -> None:
        self._kafka = kafka
        self._loop = loop
        self._snapshots = snapshots
        self._version = Version.of(plan, stages, targets)
        self._stages = stages
        self._own = stage_topic_names(plan, stages)
        self._events = topics.events
        self._sources = [topics.events, *([topics.labels] if plan.whole.reads_labels else [])]
        self._memory_ms = memory_ms
        self._decoder = decoder

    def claim(self, stop: Event) -> None:
        """Return when this worker may join its group, or when `stop` is set.

        Waits for members that may be dead for as long as the cluster needs to notice it.

        Raises:
            FeaturesChangedError: the topics with this prefix are of other features, or of another
                group.
            FormerWorkersError: others, with stage topics of another prefix, are still at work.
            MissingHistoryError: input that the windows look back on has expired, and the settings
                say `fail`.
            MessageError: something else than a staged worker has committed the group's offsets.
            KafkaException: the cluster failed.
        """
        loop = self._loop
        patience_s = (loop.session_timeout + loop.transaction_timeout) / 1_000 + _SPARE_S
        deadline = monotonic() + patience_s
        admin = AdminClient(self._kafka.client_config())
        consumer: Any = Consumer(self._kafka.consumer_config(group_id=loop.group))
        try:
            while not stop.is_set():
                try:
                    others = self._try(admin, consumer)
                except KafkaException as error:
                    # So it is as long as the transaction of a worker that died is still open.
                    if is_denial(error.args[0]) or monotonic() > deadline:
                        raise
                    others = error.args[0].str()
                if not others:
                    return
                if monotonic() > deadline:
                    raise FormerWorkersError(
                        f"group {loop.group!r} still runs with other stage topics than those of "
                        f"stages.prefix = {self._version.prefix!r} ({others}): stop all its "
                        "workers, then start those with the new settings"
                    )
                logger.info("waiting for the group's former workers to end: %s", others)
                stop.wait(_AGAIN_S)
        finally:
            consumer.close()

    def _try(self, admin: AdminClient, consumer: Any) -> str:
        """Take the group over if that is needed and can be; in words, what is in the way."""
        counts = partitions_of(admin, [*self._sources, *self._own])
        former = self._former(admin, counts)
        if former is None and self._hold_records(consumer, counts):
            former = self._former(admin, counts)  # somebody may have begun just now
            if former is None:
                raise FeaturesChangedError(
                    f"the topics of stages.prefix = {self._version.prefix!r} hold records, and "
                    f"group {self._loop.group!r} has made none: set another stages.prefix, or "
                    "loop.group to what it was"
                )
        if former in (None, self._version):
            return ""
        assert former is not None
        if former.prefix == self._version.prefix:
            raise FeaturesChangedError(
                f"the topics of stages.prefix = {former.prefix!r} were made for other features "
                f"(what differs: {self._version.unlike(former)}): restore these [[features]], or "
                "set a new stages.prefix, stop all workers and start them again; the group stays, "
                "so that each event is answered once"
            )
        if self._hold_records(consumer, counts):
            raise FeaturesChangedError(
                f"the topics of stages.prefix = {self._version.prefix!r} are not new, and the "
                f"group went on with {former.prefix!r}: set a prefix that was never used"
            )
        workers = workers_of(admin, self._loop.group)
        if workers:
            return ", ".join(worker.name for worker in workers)
        return self._take_over(admin, consumer, counts, former)

    def _former(self, admin: AdminClient, counts: Mapping[str, int]) -> Version | None:
        """What the group's routers worked for last; None if they never did.

        Those of labels may have worked for features of before the last, which read labels.
        """
        committed = self._committed(admin, {name: counts[name] for name in self._sources})
        for source in self._sources:
            versions = [
                _routed(position).version
                for (topic, _), position in committed.items()
                if topic == source and position
            ]
            if versions:
                return next((each for each in versions if each != self._version), versions[0])
        return None

    def _take_over(
        self, admin: AdminClient, consumer: Any, counts: Mapping[str, int], former: Version
    ) -> str:
        """Commit new positions, which the cluster takes while nobody is in the group only.

        Who has read the old ones can't answer any more: without a membership it can't commit, and
        with a new one it reads these.
        """
        enriched = self._stages.model_copy(update={"prefix": former.prefix}).enriched
        places = {name: counts[name] for name in self._sources}
        joins = partitions_of(admin, [enriched])
        if not joins:
            raise FeaturesChangedError(
                f"topic {enriched!r}, which tells the events that were answered, does not exist "
                "or may not be read: grant Read on it; if it was deleted, set another loop.group "
                "and a new stages.prefix, which answers all retained events again"
            )
        committed = self._committed(admin, places | joins)
        firsts = {
            (topic, each): watermarks(consumer, TopicPartition(topic, each))[0]
            for topic, count in places.items()
            for each in range(count)
        }
        self._check_history(consumer, committed, firsts)
        new = migrated_offsets(committed, firsts, enriched, self._stages.enriched, self._version)
        offsets = [TopicPartition(*place, *position) for place, position in new.items()]
        try:
            done = consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() in (
                KafkaError.UNKNOWN_MEMBER_ID,
                KafkaError.ILLEGAL_GENERATION,
                KafkaError.REBALANCE_IN_PROGRESS,
            ):
                return "a worker has just joined"
            raise
        failed = [each.error for each in done if each.error is not None]
        if failed:
            raise KafkaException(failed[0])
        logger.warning(
            "the group moved to stages.prefix = %r: routing all retained events again, and "
            "answering those that were not answered with %r",
            self._version.prefix,
            former.prefix,
        )
        return ""

    def _committed(self, admin: AdminClient, counts: Mapping[str, int]) -> Committed:
        wanted = [(name, each) for name, n in counts.items() for each in range(n)]
        committed: Committed = {}
        for each in stable_offsets(admin, self._loop.group, wanted, _TIMEOUT_S):
            if each.error is not None:
                raise KafkaException(each.error)
            committed[each.topic, each.partition], _ = position_of(each)
        return committed

    def _hold_records(self, consumer: Any, counts: Mapping[str, int]) -> bool:
        """Whether any record was committed to our stage topics."""
        unread = {(name, each) for name in self._own for each in range(counts[name])}
        try:
            consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in unread])
            while unread:
                for message in read_ready(consumer, _LOOK, _POLL_S):
                    if message.error() is None:
                        return True
                    if not is_end(message):
                        raise KafkaException(message.error())
                    unread.discard((message.topic(), message.partition()))
        finally:
            consumer.unassign()
        return False

    def _check_history(
        self, consumer: Any, committed: Committed, firsts: Mapping[PartitionId, int]
    ) -> None:
        """Complain if events that the windows look back on have expired."""
        positions = [
            position
            for (topic, _), position in committed.items()
            if topic == self._events and position
        ]
        now = max((_routed(position).progress.reached for position in positions), default=NO_TIME)
        missing = [
            f"{topic}[{each}] before offset {first}"
            for (topic, each), first in sorted(firsts.items())
            if topic == self._events
            and first > 0
            and not self._began(consumer, TopicPartition(topic, each, first), now)
        ]
        if missing:
            complain_of_missing_history(
                self._snapshots,
                "input that windows (or event.deduplicate) look back on has expired: "
                + ", ".join(missing),
            )

    def _began(self, consumer: Any, place: TopicPartition, now: int) -> bool:
        """Whether a partition's first events are so old that no window looks further back."""
        try:
            consumer.assign([place])
            messages = [each for each in consumer.consume(_LOOK, _TIMEOUT_S) if not each.error()]
        finally:
            consumer.unassign()
        arrived = np.array([each.timestamp()[1] for each in messages], np.int64)
        times = self._decoder.decode([each.value() for each in messages], arrived).events.times
        return bool(times.size) and int(times[0]) <= now - self._memory_ms


def _routed(position: StagePosition) -> Routed:
    return unpack(position.metadata, Routed)
