"""How far the scorers have come, asked again and again in a thread."""

import threading
from collections import Counter
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from tests.chaos.configuration import GROUP, MOST_PARTITIONS, PARTITIONS, TOPICS

_EVERY_S = 0.5
_ANSWER_S = 3.0
_BATCH = 10_000


class Monitor(threading.Thread):
    """Reads a group's committed offsets, without joining it, and counts the visible answers.

    Attributes:
        committed: the latest answer, by ``(topic, partition)``.
        answers: records in the scores topic, by partition.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        super().__init__(name="monitor", daemon=True)
        self.committed: dict[tuple[str, int], int] = {}
        self.answers = Counter(dict.fromkeys(range(PARTITIONS), 0))
        self._ending = threading.Event()
        common = {
            "bootstrap.servers": bootstrap_servers,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
            "topic.metadata.refresh.interval.ms": 2_000,
            "enable.auto.commit": False,
        }
        self._group: Any = Consumer(common | {"group.id": GROUP})
        self._scores: Any = Consumer(
            common | {"group.id": "chaos-monitor", "isolation.level": "read_committed"}
        )
        self._scores.assign(
            [
                TopicPartition(TOPICS["scores"], each, OFFSET_BEGINNING)
                for each in range(MOST_PARTITIONS)
            ]
        )

    def reached(self, last_offsets: dict[tuple[str, int], int], answerable: Counter[int]) -> bool:
        """Whether all these records have been taken, and all these events answered."""
        return all(
            self.committed.get(place, -1) > last for place, last in last_offsets.items()
        ) and all(self.answers[partition] >= count for partition, count in answerable.items())

    def close(self) -> None:
        """Stop asking."""
        self._ending.set()
        self.join()
        self._group.close()
        self._scores.close()

    def run(self) -> None:
        """Ask until it is closed."""
        places = [
            TopicPartition(TOPICS[role], partition)
            for role in ("events", "labels")
            for partition in range(MOST_PARTITIONS)
        ]
        while not self._ending.is_set():
            for message in self._scores.consume(_BATCH, _EVERY_S):
                self.answers[message.partition()] += message.error() is None
            try:
                found = self._group.committed(places, timeout=_ANSWER_S)
            except KafkaException:
                continue  # an outage is what a campaign is about
            if all(each.error is None for each in found):
                self.committed = {(each.topic, each.partition): each.offset for each in found}
