"""The log of positions: where each group was, written by the transactions that moved it.

Kafka forgets a group's offsets a week after its last member has left, and whenever somebody deletes
them. What stands in this compacted topic stays, with the id of the topic that an offset is of. So
who finds no offset knows whether the group is new, or was forgotten.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from confluent_kafka import TopicPartition

from streams.transactions.outcome import Outgoing


class LoggedPosition(msgspec.Struct, frozen=True):
    """What a group committed last for a partition.

    Attributes:
        offset, metadata: as the group's offsets have them.
        topic_id: of the topic that the offset is of.
    """

    group: str
    topic: str
    partition: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    metadata: str
    topic_id: str


_ENCODER = msgspec.json.Encoder()


class PositionLog:
    """Makes the records of one group.

    Args:
        topic: of the log.
        ids: of the topics that the group reads, by name.
    """

    def __init__(self, topic: str, group: str, ids: Mapping[str, str]) -> None:
        self._topic = topic
        self._group = group
        self._ids = ids

    def of(self, positions: Iterable[TopicPartition]) -> Outgoing:
        """What goes into the transaction that commits these positions."""
        logged = [
            LoggedPosition(
                self._group,
                each.topic,
                each.partition,
                each.offset,
                each.metadata or "",
                self._ids[each.topic],
            )
            for each in positions
        ]
        return Outgoing(
            self._topic,
            [_ENCODER.encode(each) for each in logged],
            [_key(each) for each in logged],
            [-1] * len(logged),
        )


def _key(logged: LoggedPosition) -> bytes:
    return f"{logged.group} {logged.topic} {logged.partition}".encode()
