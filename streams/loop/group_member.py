"""A member of a consumer group: what is ours, where reading goes on, and how far behind it is."""

import logging
from collections.abc import Callable, Iterable, Mapping
from time import monotonic, sleep
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streams.intake.position import Position
from streams.kafka.client import KafkaSettings, watermarks
from streams.kafka.cluster_watch import ClusterWatch, passes
from streams.kafka.consuming import consume_ready
from streams.kafka.lag import lag_of
from streams.kafka.partition import PartitionId, PartitionIds
from streams.loop.rivals import Rivals
from streams.loop.settings import LoopSettings
from streams.transactions.errors import FencedError

logger = logging.getLogger(__name__)

_TIMEOUT_S = 30
_WAIT_NOTICE_S = 10.0
_LAG_S = 0.2
_SEEK_RETRY_S = 0.01
_SEEK_PATIENCE_S = 30.0


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
        self._consumer: Any = Consumer(
            kafka.consumer_config(queued_min_messages=4 * settings.max_batch, **settings.member())
            | {"client.id": rivals.client_id, "error_cb": watch.note_error}
        )
        self._consumer.subscribe(
            topics,
            on_assign=lambda _, partitions: self._on_assigned(partitions),
            on_revoke=lambda _, partitions: revoked(_places(partitions)),
            on_lost=lambda _, partitions: self._on_revoked(partitions),
        )
        self.joined = False
        self._paused: set[PartitionId] = set()
        self._last_notice = 0.0
        self._ready = False
        self._incomplete_since = monotonic()
        self._lag: dict[PartitionId, int] = {}
        self._lag_at = 0.0

    def _on_assigned(self, partitions: list[TopicPartition]) -> None:
        if self._settings.topology == "staged":
            # With no offset named, the client would ask for what is committed of all of them, and
            # read none while a transaction of one who died is open on one.
            for each in partitions:
                each.offset = OFFSET_BEGINNING
            self._consumer.incremental_assign(partitions)
            self._consumer.pause(partitions)  # until `begin`
        self.joined = True
        self._assigned(_places(partitions))

    def _on_revoked(self, partitions: list[TopicPartition]) -> None:
        self.joined = False
        self._lost(_places(partitions))

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
        if places is None:
            wanted = self._consumer.assignment()
        else:
            wanted = [TopicPartition(*place) for place in places]
        committed: list[TopicPartition] = self._consumer.committed(wanted, timeout=timeout_s)
        return committed

    def first_offset(self, place: PartitionId) -> int:
        """The first offset of a partition that has not expired."""
        return watermarks(self._consumer, TopicPartition(*place))[0]

    def owns_everything(self) -> bool:
        """Whether every partition of every topic is ours."""
        ours = {(each.topic, each.partition) for each in self._consumer.assignment()}
        known = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
        return all(
            (topic, partition) in ours
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
            ours = [f"{each.topic}[{each.partition}]" for each in self._consumer.assignment()]
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

    def pause_all(self) -> None:
        """Read nothing until `go_on_from`."""
        self._consumer.pause(self._consumer.assignment())

    def go_on_from(self, positions: Iterable[Position]) -> None:
        """Read on from these positions, all of them: what was read behind them is read again."""
        for each in positions:
            self._seek(each.place, each.offset)
        self._paused = set()
        self._consumer.resume([TopicPartition(*each.place) for each in positions])

    def begin(self, place: PartitionId, offset: int) -> None:
        """Read a partition of a staged worker from there, whether for the first time or again."""
        self._seek(place, offset)
        self._consumer.resume([TopicPartition(*place)])

    def _seek(self, place: PartitionId, offset: int) -> None:
        """Read on from there; a partition that was just assigned takes a moment to allow it."""
        deadline = monotonic() + _SEEK_PATIENCE_S
        while True:
            try:
                self._consumer.seek(TopicPartition(*place, offset))
                return
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE or monotonic() > deadline:
                    raise
                sleep(_SEEK_RETRY_S)

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
        return _places(self._consumer.assignment())

    @property
    def lag(self) -> dict[PartitionId, int]:
        """Records of each partition that were not answered when last looked at; any thread."""
        return self._lag


def _places(partitions: Iterable[TopicPartition]) -> PartitionIds:
    return [(each.topic, each.partition) for each in partitions]
