"""Reading as one of several members of a consumer group, who share the partitions of some topics.

What is read, and what may be committed, is only ever of partitions that are ours now. A partition
that has come is not read before the group has said for certain where reading goes on: an offset is
not certain while a transaction of the former owner may still move it.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from streams.base.closing import ClosedAtEnd
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings
from streams.kafka.lag import lag_of
from streams.kafka.message import place_of
from streams.kafka.partition import PartitionId
from streams.kafka.records.consuming import consume_ready, is_end, note_errors
from streams.kafka.topics.topic_watch import TopicWatch
from streams.loop.growth import Growth
from streams.loop.position_check import PositionCheck
from streams.loop.stateless.start_finder import RestoredState, StartFinder, Starting
from streams.loop.stateless.unread import unread_elsewhere, unread_from

logger = logging.getLogger(__name__)

_STARTING_POLL_S = 0.02
_LAG_S = 0.2
_LARGE_FETCH = 1 << 20
_TIMEOUT_S = 30


@dataclass
class _Reading:
    """How far a partition of ours is. `committed` is -1 where the group has nothing of it yet."""

    committed: int
    handed_out: int
    drained_at: int = -1

    @property
    def next(self) -> int:
        """The next offset to be handed out."""
        return max(self.handed_out, self.drained_at)

    @property
    def due(self) -> int:
        """What can be committed at once, beside what is handed out and not committed yet."""
        return self.drained_at if self.handed_out <= self.committed else -1


class GroupReader(ClosedAtEnd):
    """Reads topics as a member of a group. For one thread, but for `ready` and `lag`.

    Args:
        worker: what the cluster calls this client in its own log.
        session_timeout: ms; after this the group takes a silent member's partitions away.
        linger: ms that a fetch may wait at the cluster for more to bring; 0 for hardly at all.
        state: restored before a partition is read.
        check: of the group and these topics; it has been run.
        widen: called when a topic has got partitions: gives those that are written to as many.
        begin_at: where to read on, once the state is loaded, given what the group has committed (-1
            for nothing); by default there.

    Attributes:
        gone: raised whenever partitions go, or are read again: what was handed out of them is void.
    """

    gone: int = 0

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        group: str,
        topics: Sequence[str],
        worker: str = "weir",
        session_timeout: int = 45_000,
        linger: int = 0,
        state: RestoredState | None = None,
        check: PositionCheck,
        widen: Callable[[], None] = lambda: None,
        begin_at: Callable[[PartitionId, int], int] = lambda _, committed: committed,
    ) -> None:
        self._group = group
        self._topics = list(topics)
        self._state = state
        self._begin_at = begin_at
        self._growth = Growth(TopicWatch(kafka, check.states), widen)
        self._growth.begin()
        self._finder = StartFinder(kafka, group, state, check.believed)
        self._reading: dict[PartitionId, _Reading] = {}
        self._starting: dict[PartitionId, Starting] = {}
        self._joined = False
        self._held = False
        self._closed = False
        self._lag: Mapping[PartitionId, int] = {}
        self._lag_at = 0.0
        self._consumer: Any = PassingConsumer(
            kafka.consumer_config(
                group_id=group,
                client_id=worker,
                auto_offset_reset="error",  # where a position is lost, nobody but us decides
                session_timeout_ms=session_timeout,
                heartbeat_interval_ms=min(3_000, session_timeout // 3),
                partition_assignment_strategy="cooperative-sticky",
                **(_lingering(linger) if linger else {}),
            )
        )
        self._consumer.subscribe(
            self._topics,
            on_assign=lambda _, partitions: self._on_assigned(_places(partitions)),
            on_revoke=lambda _, partitions: self._on_revoked(_places(partitions)),
            on_lost=lambda _, partitions: self._on_lost(_places(partitions)),
        )

    @property
    def ready(self) -> bool:
        """Whether we are in the group, and all partitions that are ours are being read.

        A member without partitions is ready: it waits for those of another. Any thread may ask.
        """
        return self._joined and not self._starting and not self._growth.due

    @property
    def lag(self) -> Mapping[PartitionId, int]:
        """Records of each partition that were not handed out a moment ago; any thread may ask."""
        return self._lag

    def unread(self) -> dict[PartitionId, int]:
        """Offsets of each partition that is ours that were not handed out, by the cluster's word.

        One that is not being read yet counts with all that it holds.

        Raises:
            KafkaException: the cluster does not say.
        """
        starting = dict.fromkeys(self._starting, -1)
        reading = {place: each.next for place, each in self._reading.items()}
        return unread_from(self._consumer, reading | starting)

    def unread_elsewhere(self) -> dict[PartitionId, int]:
        """Offsets of each partition of another member that the group has not committed."""
        ours = self._reading.keys() | self._starting.keys()
        return unread_elsewhere(self._consumer, self._topics, ours)

    def uncommitted(self) -> dict[PartitionId, int]:
        """Offsets of each partition that is read that the group has not committed; as `unread`."""
        committed = {place: each.committed for place, each in self._reading.items()}
        return unread_from(self._consumer, committed)

    def poll(self, limit: int, timeout_s: float) -> list[Message]:
        """Up to `limit` records that have come, of partitions that are ours still.

        Raises:
            AuthorizationError: we may not read a topic.
            PositionLostError: where reading was is no place in a topic any more.
            KafkaException: the cluster failed in a way that trying again does not fix.
        """
        if self._growth.look() and self._growth.settle():
            # The client learns of the new partitions here, and has the group share them out.
            self._consumer.list_topics(timeout=_TIMEOUT_S)
        if self._held:
            self._held = False
            self._consumer.resume(_partitions(self._reading))
        self._begin_those_that_can()
        messages = self._serve(limit, _STARTING_POLL_S if self._starting else timeout_s)
        self._note_lag()
        return messages

    def wait(self, timeout_s: float) -> list[Message]:
        """Stay in the group without reading on, until `poll`.

        Returns what comes nevertheless, as it does now and then: seldom more than nothing.
        """
        self._held = True
        self._consumer.pause(_partitions(self._reading))
        return self._serve(1, timeout_s)

    def reads(self, message: Message) -> bool:
        """Whether the partition of a message is ours still, and not to be read again."""
        return place_of(message) in self._reading

    def positions(self, messages: Iterable[Message]) -> list[TopicPartition]:
        """Where reading goes on behind these messages, in those of their partitions that are ours.

        Where nothing more has come, that is the partition's end: behind a transaction's last record
        stands a marker that is no record, and would count as one that was not read.
        """
        ends = {place_of(message): (message.offset() or 0) + 1 for message in messages}
        positions = []
        for place, end in ends.items():
            reading = self._reading.get(place)
            if reading is not None:
                last = end == reading.handed_out
                position = max(end, reading.drained_at) if last else end
                positions.append(TopicPartition(*place, position))
        return positions

    def drained(self) -> list[TopicPartition]:
        """The ends of partitions that were read to there, where the group does not know that yet.

        Only of those of which all that was handed out is committed.
        """
        return [
            TopicPartition(*place, reading.due)
            for place, reading in self._reading.items()
            if reading.due > reading.committed
        ]

    def committed(self) -> list[TopicPartition]:
        """Where the group is in partitions that are ours, as far as it has committed anything."""
        return [
            TopicPartition(*place, reading.committed)
            for place, reading in self._reading.items()
            if reading.committed >= 0
        ]

    def note_committed(self, positions: Iterable[TopicPartition]) -> None:
        """Remember what the group knows now."""
        for each in positions:
            reading = self._reading.get((each.topic, each.partition))
            if reading is not None:
                reading.committed = each.offset

    def commit(self, positions: list[TopicPartition]) -> None:
        """Commit without a transaction.

        Raises:
            KafkaException: the group does not take it.
        """
        self._consumer.commit(offsets=positions, asynchronous=False)
        self.note_committed(positions)

    def membership(self) -> Any:
        """What a transaction needs to commit as this member; None where we are none any more.

        Who was silent for too long is put out of the group, and others have its partitions. Kafka's
        client knows that before it calls us back; what it calls our membership is empty then, and
        the cluster would take offsets under an empty one from anybody.
        """
        membership = self._consumer.consumer_group_metadata()
        return membership if self._consumer.memberid() else None

    def read_again(self, places: Iterable[PartitionId]) -> None:
        """Go back to what the group has committed; what was read of it by now is void."""
        ours = [place for place in places if place in self._reading]
        self._read_no_more(ours)
        self._start(ours)

    def close(self) -> None:
        """Leave the group."""
        self._closed = True  # partitions may come while we leave
        for starting in self._starting.values():
            starting.cancelled.set()
        self._finder.close()
        self._consumer.close()
        self._growth.close()

    def _serve(self, limit: int, timeout_s: float) -> list[Message]:
        """Take what has come. Here, and only here, partitions come and go."""
        came = consume_ready(self._consumer, limit, timeout_s)
        note_errors(came)
        messages = []
        for message in came:
            # It may have come before its partition went. One that is back by now has not begun.
            reading = self._reading.get(place_of(message))
            if reading is None:
                continue
            if message.error() is None:
                reading.handed_out = (message.offset() or 0) + 1
                messages.append(message)
            elif is_end(message):
                reading.drained_at = message.offset() or 0
        return messages

    # The client is given a partition to read only with the offset to begin at. One that it is given
    # without, and told to hold, it asks the cluster for an offset; the answer may come after we
    # have named one, and takes it back there (librdkafka 2.16).

    def _on_assigned(self, places: Collection[PartitionId]) -> None:
        self._consumer.incremental_assign([])
        self._joined = True
        self._start(places)

    def _on_revoked(self, places: Collection[PartitionId]) -> None:
        for place in places:
            starting = self._starting.pop(place, None)
            if starting is not None:
                starting.cancelled.set()
        self._read_no_more([place for place in places if place in self._reading])

    def _on_lost(self, places: Collection[PartitionId]) -> None:
        logger.warning(
            "the consumer group %s removed this process, which was silent for too long, and gave "
            "its partitions to others: joining again",
            self._group,
        )
        self._joined = False
        self._on_revoked(places)

    def _read_no_more(self, places: Collection[PartitionId]) -> None:
        self.gone += bool(places)
        self._consumer.incremental_unassign(_partitions(places))
        for place in places:
            del self._reading[place]
            if self._state is not None:
                self._state.drop(place)

    def _start(self, places: Iterable[PartitionId]) -> None:
        for place in () if self._closed else places:
            self._starting[place] = self._finder.find(place)

    def _begin_those_that_can(self) -> None:
        for place, starting in list(self._starting.items()):
            if not starting.start.done():
                continue
            committed, entries = starting.start.result()
            if self._state is not None:
                self._state.load(place, entries)
            begin = self._begin_at(place, committed)
            offset = begin if begin >= 0 else OFFSET_BEGINNING
            self._consumer.incremental_assign([TopicPartition(*place, offset)])
            # The client remembers of one that was held when it went that it was.
            self._consumer.resume([TopicPartition(*place)])
            self._reading[place] = _Reading(committed, begin)
            del self._starting[place]

    def _note_lag(self) -> None:
        """Look now and then, in the polling thread: the consumer keeps others waiting."""
        if monotonic() - self._lag_at < _LAG_S:
            return
        self._lag_at = monotonic()
        places = [TopicPartition(*place, each.next) for place, each in self._reading.items()]
        self._lag = lag_of(self._consumer, places)


def _lingering(linger: int) -> dict[str, int]:
    return {"fetch_wait_max_ms": linger, "fetch_min_bytes": _LARGE_FETCH}


def _places(partitions: Iterable[TopicPartition]) -> list[PartitionId]:
    return [(each.topic, each.partition) for each in partitions]


def _partitions(places: Iterable[PartitionId]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in places]
