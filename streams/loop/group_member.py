"""A member of a consumer group: what is ours, where reading goes on, and how far behind it is."""

import logging
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

from confluent_kafka import KafkaException, Message, TopicPartition

from streams.intake.position import Position
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings, watermarks
from streams.kafka.cluster_watch import ClusterWatch, passes
from streams.kafka.lag import lag_of
from streams.kafka.partition import PartitionId, PartitionIds
from streams.kafka.records.consuming import consume_ready
from streams.loop.rivals import Rivals
from streams.loop.settings import LoopSettings
from streams.transactions.errors import FencedError

logger = logging.getLogger(__name__)

_TIMEOUT_S = 30
_WAIT_NOTICE_S = 10.0
_LAG_S = 0.2


class GroupMember:
    """Reads topics as a member of the group that the settings name.

    One thread, except for `lag`.

    Args:
        topics: what to read.
        rivals: who can't be at work beside us.
        watch: told what the client says of its connections.
        assigned: told which partitions have come.
        revoked: told which go; until it returns, their offsets can be committed.
        lost: told which are gone already.

    Attributes:
        joined: the group knows us, and has given us our share, which may be nothing.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: LoopSettings,
        topics: list[str],
        *,
        rivals: Rivals,
        watch: ClusterWatch,
        assigned: Callable[[PartitionIds], None],
        revoked: Callable[[PartitionIds], None],
        lost: Callable[[PartitionIds], None],
    ) -> None:
        self._settings = settings
        self._assigned = assigned
        self._lost = lost
        self._rivals = rivals
        self._watch = watch
        self._topics = topics
        self._consumer: Any = PassingConsumer(
            kafka.consumer_config(
                queued_min_messages=4 * settings.max_batch,
                auto_offset_reset="error",  # where a position is lost, nobody but us decides
                **settings.member(),
            )
            | {"client.id": rivals.client_id, "error_cb": watch.note_error}
        )
        self._consumer.subscribe(
            topics,
            on_assign=lambda _, partitions: self._on_assigned(_places(partitions)),
            on_revoke=lambda _, partitions: self._on_revoked(_places(partitions), revoked),
            on_lost=lambda _, partitions: self._on_lost(_places(partitions)),
        )
        self.joined = False
        self._ours: set[PartitionId] = set()
        self._reading: set[PartitionId] = set()
        self._paused: set[PartitionId] = set()
        self._last_notice = 0.0
        self._ready = False
        self._incomplete_since = monotonic()
        self._lag: dict[PartitionId, int] = {}
        self._lag_at = 0.0

    # The client is given a partition to read only with the offset to begin at. One that it is given
    # without, it asks the cluster for an offset of; the answer may come after we have named one.

    def _on_assigned(self, places: PartitionIds) -> None:
        self._consumer.incremental_assign([])
        self._ours |= set(places)
        self.joined = True
        self._assigned(places)

    def _on_revoked(self, places: PartitionIds, revoked: Callable[[PartitionIds], None]) -> None:
        revoked(places)
        self._give_up(places)

    def _on_lost(self, places: PartitionIds) -> None:
        self.joined = False
        self._lost(places)
        self._give_up(places)

    def _give_up(self, places: PartitionIds) -> None:
        self._ours -= set(places)
        self._read_no_more(self._reading & set(places))

    def _read_no_more(self, places: PartitionIds) -> None:
        self._consumer.incremental_unassign([TopicPartition(*place) for place in places])
        self._reading -= set(places)
        self._paused -= set(places)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def poll(self, timeout_s: float, waited: Callable[[], None] = lambda: None) -> list[Message]:
        """What has come, waiting for the first message only; `waited` is called after that."""
        return consume_ready(self._consumer, self._settings.max_batch, timeout_s, waited)

    def group_metadata(self) -> Any:
        """What a transaction needs to commit offsets as this member."""
        return self._consumer.consumer_group_metadata()

    def committed(
        self, places: PartitionIds | None = None, timeout_s: float = _TIMEOUT_S
    ) -> list[TopicPartition]:
        """What the group has committed, with its metadata, of some or all of our partitions.

        An offset of -1001 is nothing.

        Raises:
            KafkaException: the cluster does not say; also where a transaction of somebody who
                died is still open.
        """
        wanted = [TopicPartition(*place) for place in (self._ours if places is None else places)]
        committed: list[TopicPartition] = self._consumer.committed(wanted, timeout=timeout_s)
        return committed

    def first_offset(self, place: PartitionId) -> int:
        """The first offset of a partition that has not expired."""
        return watermarks(self._consumer, TopicPartition(*place))[0]

    def owns_everything(self) -> bool:
        """Whether every partition of every topic is ours."""
        # A client that learns here of new partitions has the group share them out.
        known = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
        return all(
            (topic, partition) in self._ours
            for topic in self._topics
            for partition in known[topic].partitions
        )

    def note_readiness(self, ready: bool) -> None:
        """Remember since when work could not go on."""
        if self._ready and not ready:
            self._incomplete_since = monotonic()
        self._ready = ready

    def wait_or_give_way(self, probe: Callable[[TopicPartition], None]) -> None:
        """Say now and then what is waited for; end if another process is to have it all.

        Of several scorers the last to start is to remain. While each holds a share of the
        partitions nobody commits, so the others would not learn that they were fenced off, and all
        would wait for ever: hence the question, and the probe.

        Args:
            probe: finds out whether the transactional id is ours; given a place of ours.

        Raises:
            FencedError: another process has taken over.
            Exception: of `probe`.
        """
        if monotonic() - self._last_notice > _WAIT_NOTICE_S:
            self._last_notice = monotonic()
            ours = [f"{topic}[{partition}]" for topic, partition in sorted(self._ours)]
            logger.info(
                "waiting for all partitions of %s; ours so far: %s",
                ", ".join(self._topics),
                ", ".join(ours) or "none",
            )
        patience_s = self._settings.session_timeout / 1_000
        if self._watch.away or monotonic() - self._incomplete_since < patience_s:
            return
        self._incomplete_since = monotonic()
        try:
            committed = self.committed()[:1]
            if self._rivals.successor():
                raise FencedError(
                    f"another process that started later has joined group {self._settings.group!r}"
                    ": run one scorer per group, or give this one another loop.group"
                )
        except KafkaException as error:
            if not passes(error):
                raise
            logger.warning(
                "can't list the members of the consumer group, trying again: %s",
                error.args[0].str(),
            )
            return
        for each in committed:
            metadata = each.metadata or ""
            probe(TopicPartition(each.topic, each.partition, max(0, each.offset), metadata))

    def look_for_partitions(self) -> None:
        """Have the client notice what partitions there are; the group then shares out new ones."""
        self._consumer.list_topics(timeout=_TIMEOUT_S)

    def pause_all(self) -> None:
        """Read nothing until `go_on_from`."""
        self._read_no_more(set(self._reading))

    def go_on_from(self, positions: Iterable[Position]) -> None:
        """Read on from these positions, all of them: what was read behind them is read again."""
        self.pause_all()
        for each in positions:
            self.begin(each.place, each.offset)

    def begin(self, place: PartitionId, offset: int) -> None:
        """Read a partition of ours from there, whether for the first time or again."""
        if place in self._reading:
            self._read_no_more([place])
        self._consumer.incremental_assign([TopicPartition(*place, offset)])
        # The client remembers of one that was held back that it was.
        self._consumer.resume([TopicPartition(*place)])
        self._reading.add(place)

    def hold_back_long_queues(self, queued: Mapping[PartitionId, int]) -> None:
        """Read a partition no further while too much of it waits."""
        limit = self._settings.max_queued
        long = {place for place, count in queued.items() if count >= limit} - self._paused
        short = {place for place in self._paused if queued.get(place, 0) <= limit // 2}
        if long:
            self._consumer.pause([TopicPartition(*place) for place in long])
        if short:
            self._consumer.resume([TopicPartition(*place) for place in short])
        self._paused = (self._paused | long) - short

    def note_lag(self, positions: Mapping[PartitionId, int]) -> None:
        """Look now and then, in the polling thread: a consumer that is polled keeps others waiting.

        Args:
            positions: the next offset to be answered of each partition.
        """
        if monotonic() - self._lag_at < _LAG_S:
            return
        self._lag_at = monotonic()
        places = [TopicPartition(*place, position) for place, position in positions.items()]
        # Of a partition whose end is not known yet, nothing has come that is not answered.
        self._lag = dict.fromkeys(positions, 0) | lag_of(self._consumer, places)

    @property
    def assignment(self) -> PartitionIds:
        """What is ours."""
        return list(self._ours)

    @property
    def lag(self) -> dict[PartitionId, int]:
        """Records of each partition that were not answered when last looked at; any thread."""
        return self._lag


def _places(partitions: Iterable[TopicPartition]) -> PartitionIds:
    return [(each.topic, each.partition) for each in partitions]
