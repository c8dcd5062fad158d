"""Follows the topic of episodes, so that any worker of the monitor knows them all."""

import logging
from contextlib import closing
from threading import Event

from confluent_kafka import KafkaException

from monitoring.episodes.episode import DECODE_EPISODE, Episode
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlReader
from streams.kafka.topics.topic_watch import PositionLostError

logger = logging.getLogger(__name__)

_POLL_S = 0.5
_AGAIN_S = 5.0


class EpisodeBook:
    """What the topic says last of each episode. Any thread may ask; asking never waits.

    Attributes:
        is_read: whether all has been read that stood there at the start.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._known: dict[str, bytes] = {}
        self.is_read = False

    def run(self, stop: Event) -> None:
        """Follow the topic until `stop` is set; a cluster that is away is waited for.

        Raises:
            AuthorizationError: we may not read it.
        """
        while not stop.is_set():
            try:
                with closing(ControlReader(self._kafka, self._topic)) as reader:
                    while not stop.is_set():
                        self._hear(reader)
            except (KafkaException, PositionLostError, ValueError) as error:
                logger.warning("can't read episodes, trying again: %s", error)
                stop.wait(_AGAIN_S)

    def _hear(self, reader: ControlReader) -> None:
        for record in reader.read(_POLL_S):
            try:
                episode = DECODE_EPISODE(record.value or b"")
            except ValueError:
                continue  # whatever else stands there is no episode
            self._known[episode.id] = record.value or b""
        self.is_read = self.is_read or reader.at_end

    def find(self, episode: str) -> Episode | None:
        """The episode of this id; None where the topic says nothing of it."""
        known = self._known.get(episode)
        return None if known is None else DECODE_EPISODE(known)

    def newest(self, state: str | None, most: int) -> list[Episode]:
        """The ones found last, the last one first.

        Args:
            state: ``open`` or ``closed``; all if None.
        """
        every = [DECODE_EPISODE(each) for each in list(self._known.values())]
        wanted = [each for each in every if state in (None, each.state)]
        return sorted(wanted, key=lambda each: (-each.found, each.id))[:most]
