"""Where reading goes on: behind what the archive has of a partition, whatever the group says."""

import logging
from collections.abc import Callable, Iterable, Mapping
from threading import Event
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

from monitoring.archive.errors import ArchiveAwayError, ArchiveError
from monitoring.archive.table import ArchiveTable
from streams.kafka.client import KafkaSettings, watermarks
from streams.kafka.partition import PartitionId
from streams.kafka.topics.topic_watch import TopicState

logger = logging.getLogger(__name__)

_AGAIN_S = 5.0
_TIMEOUT_S = 10.0


class Place(NamedTuple):
    """A partition of ours.

    Attributes:
        source: what the archive knows it by.
        archived: up to which offset it is in.
    """

    source: str
    archived: int


class ArchivedPositions:
    """The `RestoredState` of a `GroupReader` whose positions the archive knows.

    Args:
        tables: of each topic.
        topics: what they are at present.
        lost: told how many records expired before they were archived.
        dropped: told of a partition that is ours no more.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        tables: Mapping[str, ArchiveTable],
        topics: Mapping[str, TopicState],
        lost: Callable[[int], None],
        dropped: Callable[[PartitionId], None],
    ) -> None:
        self._kafka = kafka
        self._tables = tables
        self._topics = topics
        self._lost = lost
        self._dropped = dropped
        self._begin: dict[PartitionId, int] = {}
        self.places: dict[PartitionId, Place] = {}

    def read(self, place: PartitionId, cancelled: Event) -> tuple[Place, int] | None:
        """What the archive has of a partition, and its first record; None where nobody wants it.

        Raises:
            ArchiveError: the archive has more of it than there is.
            KafkaException: the cluster does not say where it begins and ends.
        """
        topic, partition = place
        # A topic that was made anew has an id of its own, and none of it is in.
        source = f"{topic}/{self._topics[topic].topic_id}/{partition}"
        while not cancelled.is_set():
            try:
                archived = self._tables[topic].position(source)
            except ArchiveAwayError as error:
                logger.warning("%s; asking again in %.0f s", error, _AGAIN_S)
                cancelled.wait(_AGAIN_S)
                continue
            low, high = self._bounds(place)
            if archived > high:
                raise ArchiveError(
                    f"{topic}[{partition}] ends at offset {high}, and the archive has it up to "
                    f"{archived}: the topic has lost records. Move the archive away, or name "
                    "another one in archive.url, to begin a new one with what there is"
                )
            return Place(source, archived), low
        return None

    def load(self, place: PartitionId, entries: tuple[Place, int] | None) -> None:
        """Take up what was read."""
        if entries is None:
            return
        self.places[place], low = entries
        archived = self.places[place].archived
        self._begin[place] = max(archived, low)
        if 0 < archived < low:
            logger.error(
                "%s[%d]: %d offsets expired before they were archived (%d to %d): topics.retention "
                "is shorter than the archive was away",
                *(*place, low - archived, archived, low - 1),
            )
            self._lost(low - archived)

    def drop(self, place: PartitionId) -> None:
        """Forget a partition that is ours no more."""
        self.places.pop(place, None)
        self._begin.pop(place, None)
        self._dropped(place)

    def begin_at(self, place: PartitionId, committed: int) -> int:
        """Where to read on."""
        return self._begin.get(place, committed)

    def moves(self, ends: Iterable[TopicPartition]) -> dict[str, tuple[int, int]]:
        """By source, from where to where it goes in when these partitions are in up to there."""
        places = [(self.places[each.topic, each.partition], each.offset) for each in ends]
        return {place.source: (place.archived, end) for place, end in places}

    def moved(self, ends: Iterable[TopicPartition]) -> None:
        """These partitions are in up to there."""
        for each in ends:
            place = each.topic, each.partition
            self.places[place] = self.places[place]._replace(archived=each.offset)

    def _bounds(self, place: PartitionId) -> tuple[int, int]:
        consumer = Consumer(self._kafka.consumer_config(group_id="weir-archive-bounds"))
        try:
            return watermarks(consumer, TopicPartition(*place), _TIMEOUT_S)
        finally:
            consumer.close()
