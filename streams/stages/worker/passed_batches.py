"""Dead letters of batches that can't be read, for a worker that has many partitions."""

from collections.abc import Callable, Iterable

from confluent_kafka import Message

from streams.base.clock import now_ms
from streams.dead_letters.writer import dead_letters_of
from streams.events.rejection import Rejected
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.partition import PartitionId
from streams.transactions.outcome import Outgoing


class PassedBatches:
    """Remembers a passed batch until a position behind it is committed, with its dead letter.

    Args:
        topic: of the dead letters.
        count: told which were rejected, once that is visible.
    """

    def __init__(self, topic: str, count: Callable[[list[Rejected]], None]) -> None:
        self._topic = topic
        self._count = count
        self._waiting: dict[PartitionId, list[BadBatch]] = {}

    def note(self, place: PartitionId, messages: Iterable[Message], committed: int) -> None:
        """Look for bad batches in what was read; those before `committed` had their letters."""
        for message in messages:
            if isinstance(message, BadBatch) and message.next_offset > committed:
                waiting = self._waiting.setdefault(place, [])
                if not waiting or waiting[-1].first < message.first:
                    waiting.append(message)

    def letters(self, place: PartitionId, offset: int) -> list[Outgoing]:
        """What has to be sent when `offset` is committed for the place."""
        due = [(each, each.rejected(0)) for each in self._due(place, offset)]
        return [dead_letters_of(self._topic, due, now_ms())] if due else []

    def committed(self, place: PartitionId, offset: int) -> None:
        """It is committed, and the letters with it."""
        if due := self._due(place, offset):
            self._count([each.rejected(0) for each in due])
            self._waiting[place] = self._waiting[place][len(due) :]

    def forget(self, place: PartitionId) -> None:
        """The partition is gone, or is read again from its committed position."""
        self._waiting.pop(place, None)

    def _due(self, place: PartitionId, offset: int) -> list[BadBatch]:
        return [each for each in self._waiting.get(place, ()) if each.next_offset <= offset]
