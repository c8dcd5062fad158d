"""How far the group has come, asked again and again in a thread."""

import threading

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.chaos.configuration import GROUP, PARTITIONS, TOPICS

_EVERY_S = 0.5
_ANSWER_S = 3.0


class Monitor(threading.Thread):
    """Reads the group's committed offsets, without joining it.

    Attributes:
        committed: the latest answer, by ``(topic, partition)``.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        super().__init__(name="monitor", daemon=True)
        self.committed: dict[tuple[str, int], int] = {}
        self._ending = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": GROUP,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    @property
    def events(self) -> int:
        """Sum of the committed offsets of the events topic."""
        topic = TOPICS["events"]
        return sum(max(0, offset) for (name, _), offset in self.committed.items() if name == topic)

    def reached(self, last_offsets: dict[tuple[str, int], int]) -> bool:
        """Whether all these records have been taken."""
        return all(self.committed.get(place, -1) > last for place, last in last_offsets.items())

    def close(self) -> None:
        """Stop asking."""
        self._ending.set()
        self.join()
        self._consumer.close()

    def run(self) -> None:
        """Ask until it is closed."""
        places = [
            TopicPartition(TOPICS[role], partition)
            for role in ("events", "labels")
            for partition in range(PARTITIONS)
        ]
        while not self._ending.wait(_EVERY_S):
            try:
                found = self._consumer.committed(places, timeout=_ANSWER_S)
            except KafkaException:
                continue  # an outage is what a campaign is about
            if all(each.error is None for each in found):
                self.committed = {(each.topic, each.partition): each.offset for each in found}
