"""Taking single dead letters out of their topic.

Kafka deletes a partition's records only from its beginning. So the letters that stay are written
once more, behind the last one that goes, and then all before that is deleted. Killed in between, it
has written some letters twice; the next run leaves out those that stand behind already.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.dead_letters.letter import DeadLetter
from streams.dead_letters.reader import (
    DeadLetterReader,
    Progress,
    RecordAddress,
    StoredDeadLetter,
    mark,
    silent,
)
from streams.dead_letters.sole_writer import PATIENCE_S, abort, batches, sole_writer
from streams.transactions.errors import FencedError
from streams.transactions.patience import patiently

_DELETE_S = 60.0

Matches = Callable[[DeadLetter], bool]


@dataclass
class ErasePlan:
    """What is done to the topic.

    Attributes:
        letters: how many go.
        moved: how many that stay are written once more.
        unread: how many of those that stay can't be looked into, since their record is no JSON.
        ends: partition to the offset before which all is deleted.
    """

    letters: int = 0
    moved: int = 0
    unread: int = 0
    ends: dict[int, int] = field(default_factory=dict)


class Eraser:
    """Takes the letters out that `matches` is true for.

    Args:
        unreadable: whether a letter can't be looked into; only counted.
    """

    def __init__(
        self,
        box: DeadLetterReader,
        admin: AdminClient,
        matches: Matches,
        unreadable: Matches = lambda letter: False,
    ) -> None:
        self._box = box
        self._admin = admin
        self._matches = matches
        self._unreadable = unreadable

    def plan(self, progress: Progress = silent) -> ErasePlan:
        """What `run` would do.

        Raises:
            ValueError: there is no such topic.
            KafkaException: the cluster failed.
        """
        plan = ErasePlan()
        staying: dict[int, int] = defaultdict(int)
        for stored in self._box.letters({}, progress=progress):
            partition = stored.place.partition
            if self._matches(stored.letter):
                plan.letters += 1
                plan.moved += staying.pop(partition, 0)
                plan.ends[partition] = stored.place.offset + 1
            else:
                staying[partition] += 1
                plan.unread += self._unreadable(stored.letter)
        return plan

    def run(self, progress: Progress = silent) -> ErasePlan:
        """Take them out.

        Raises:
            UnsettledError: a transaction of somebody else in the topic does not end.
            FencedError: a requeue, or another erasure, has taken over; nothing is lost.
            KafkaException: the cluster failed, or does not let us.
        """
        topic = self._box.topic
        # The one of a requeue: while letters move, none is sent again.
        with sole_writer(self._box, self._admin) as producer:
            plan = self.plan(progress)
            for batch in batches(self._to_move(plan)):
                _write_again(producer, batch)
        if plan.ends:
            places = [TopicPartition(topic, each, end) for each, end in plan.ends.items()]
            for deleted in self._admin.delete_records(places, operation_timeout=_DELETE_S).values():
                deleted.result(_DELETE_S)
        return plan

    def _to_move(self, plan: ErasePlan) -> Iterator[StoredDeadLetter]:
        """The letters that stay and stand before one that goes, once each."""
        behind = {
            (stored.place.partition, stored.source)
            for stored in self._box.letters({})
            if stored.place.offset >= plan.ends.get(stored.place.partition, 0)
        }
        for stored in self._box.letters(self._box.marks()):
            place = stored.place
            if (
                place.offset < plan.ends.get(place.partition, 0)
                and not self._matches(stored.letter)
                and (place.partition, stored.source) not in behind
            ):
                behind.add((place.partition, stored.source))
                yield stored


def _write_again(producer: Producer, batch: list[StoredDeadLetter]) -> None:
    """Letters and their marks, in one transaction, each in the partition that it came from."""
    written: dict[RecordAddress, int] = {}
    try:
        producer.begin_transaction()
        for stored in batch:
            letter, place = stored.letter, stored.place

            def note(error: Any, message: Message, place: RecordAddress = place) -> None:
                if error is None:
                    written[place] = message.offset()

            producer.produce(
                place.topic,
                letter.value,
                letter.key,
                place.partition,
                headers=[*letter.headers, *letter.own_headers],
                on_delivery=note,
            )
        producer.flush(PATIENCE_S)
        requeued: dict[tuple[int, int], list[int]] = defaultdict(list)
        for stored in batch:
            if stored.requeued_ms is not None and stored.place in written:
                key = (stored.place.partition, stored.requeued_ms)
                requeued[key].append(written[stored.place])
        for (partition, at_ms), offsets in requeued.items():
            value, headers = mark(offsets, at_ms)
            producer.produce(batch[0].place.topic, value, None, partition, headers=headers)
        patiently(producer.commit_transaction, PATIENCE_S)
    except KafkaException as error:
        if error.args[0].fatal():
            raise FencedError(
                "a requeue, or another erasure, of the dead letters has taken over: run this again"
            ) from error
        abort(producer)
        raise
