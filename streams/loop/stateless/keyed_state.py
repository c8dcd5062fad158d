"""State that a task keeps by key, and that survives it: written down in a compacted topic.

Changes go to the topic in the transaction that commits the input that they come from. So state and
offsets are of one moment, whatever is killed when. What a task learns from partition p of its input
stands in partition p of the state topic, and goes with it from member to member.
"""

from collections.abc import ItemsView
from threading import Event

from streams.kafka.client import KafkaSettings
from streams.kafka.partition import PartitionId
from streams.loop.stateless.state_topic import read_state
from streams.transactions.outcome import Outgoing


class PartitionState:
    """What is kept of one partition: bytes by key.

    Changes can be taken back until they are committed.

    Attributes:
        taken_back: how often that was done; what was made of the entries before is void.
    """

    def __init__(self, entries: dict[bytes, bytes]) -> None:
        self.taken_back = 0
        self._entries = entries
        self._before: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """What is kept under a key; None for nothing."""
        return self._entries.get(key)

    def items(self) -> ItemsView[bytes, bytes]:
        """All that is kept."""
        return self._entries.items()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Keep a value under a key in place of what is there; None keeps nothing."""
        self._before.setdefault(key, self._entries.get(key))
        self._set(key, value)

    @property
    def changed(self) -> bool:
        """Whether a key has been put since the last commit."""
        return bool(self._before)

    def changes(self) -> dict[bytes, bytes | None]:
        """The present values of all keys that have been put since the last commit."""
        return {key: self._entries.get(key) for key in self._before}

    def commit(self) -> None:
        """The changes have been written down."""
        self._before.clear()

    def rollback(self) -> None:
        """Take the changes back."""
        self.taken_back += 1
        for key, value in self._before.items():
            self._set(key, value)
        self._before.clear()

    def _set(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._entries.pop(key, None)
        else:
            self._entries[key] = value


class KeyedState:
    """The state of those partitions of an input topic that are ours.

    A task reads and changes `of(partition)`; the rest is for the loop that runs it.

    Args:
        topic: of the state; see `streams.loop.stateless.state_topic.ensure_state_topic`.
        source: the input topic whose partitions the state follows. Other input has no state.
    """

    def __init__(self, *, kafka: KafkaSettings, topic: str, source: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._source = source
        self._parts: dict[int, PartitionState] = {}

    def of(self, partition: int) -> PartitionState:
        """The state of a partition of the source.

        Raises:
            LookupError: it is not ours.
        """
        part = self._parts.get(partition)
        if part is None:
            raise LookupError(f"the state of {self._source}[{partition}] is with another worker")
        return part

    @property
    def partitions(self) -> list[int]:
        """Those of the source that are ours."""
        return sorted(self._parts)

    def read(self, place: PartitionId, cancelled: Event) -> dict[bytes, bytes]:
        """What was committed of a partition's state; any thread. Nothing for other topics.

        Raises:
            TopicError: the state topic has no such partition.
            AuthorizationError: we may not read it.
            KafkaException: the cluster failed.
        """
        if place[0] != self._source:
            return {}
        return read_state(self._kafka, self._topic, place[1], cancelled)

    def load(self, place: PartitionId, entries: dict[bytes, bytes]) -> None:
        """A partition has come, with what was committed of its state."""
        if place[0] == self._source:
            self._parts[place[1]] = PartitionState(entries)

    def drop(self, place: PartitionId) -> None:
        """A partition is ours no more."""
        if place[0] == self._source:
            self._parts.pop(place[1], None)

    @property
    def changed(self) -> bool:
        """Whether anything has to be written down."""
        return any(part.changed for part in self._parts.values())

    def changes(self) -> list[Outgoing]:
        """What has to be written down."""
        rows = [
            (value, key, partition)
            for partition, part in self._parts.items()
            for key, value in part.changes().items()
        ]
        if not rows:
            return []
        values, keys, partitions = zip(*rows, strict=True)
        return [Outgoing(self._topic, values, keys, partitions)]

    def commit(self) -> None:
        """The changes have been written down."""
        for part in self._parts.values():
            part.commit()

    def rollback(self) -> None:
        """Take back what was not."""
        for part in self._parts.values():
            part.rollback()
