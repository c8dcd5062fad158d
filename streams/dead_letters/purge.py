"""Deleting dead letters. Kafka deletes a partition's records only from its beginning."""

from dataclasses import dataclass, field

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.base.errors import WeirError
from streams.dead_letters.reader import DeadLetterReader, Progress, Selection, silent

_PATIENCE_S = 60.0


class PurgeError(WeirError, ValueError):
    """The letters can't be deleted without others; the message says which."""


@dataclass
class PurgePlan:
    """What goes if a selection is deleted.

    Attributes:
        letters: how many letters.
        never_requeued: how many of these were never requeued.
        foreign: how many records of the topic are no dead letters; those between the letters go
            along.
        ends: partition to the offset before which all goes.
    """

    letters: int = 0
    never_requeued: int = 0
    foreign: int = 0
    ends: dict[int, int] = field(default_factory=dict)


def plan_purge(
    box: DeadLetterReader,
    selection: Selection,
    reading_marks: Progress = silent,
    reading_letters: Progress = silent,
) -> PurgePlan:
    """What is deleted if a selection is, without deleting it.

    Raises:
        PurgeError: letters that are not selected stand before some that are.
        KafkaException: the cluster failed.
    """
    plan = PurgePlan()
    kept: dict[int, int] = {}
    in_the_way = 0
    example: tuple[str, str] | None = None
    for stored in box.letters(box.marks(reading_marks), progress=reading_letters):
        partition = stored.place.partition
        if not selection.holds(stored):
            kept[partition] = kept.get(partition, 0) + 1
            continue
        plan.letters += 1
        plan.never_requeued += stored.requeued_ms is None
        plan.ends[partition] = stored.place.offset + 1
        if waiting := kept.pop(partition, 0):
            in_the_way += waiting
            example = example or (str(stored.source), str(stored.place))
    plan.foreign = box.foreign
    if example is not None:
        raise PurgeError(
            f"Kafka deletes records only from the beginning of a partition, and {in_the_way:,} "
            "dead letters that you did not select stand before ones that you did (such as "
            f"{example[0]}, which is {example[1]}): select by --to TIME only, or by nothing with "
            "--all"
        )
    return plan


def purge(box: DeadLetterReader, admin: AdminClient, plan: PurgePlan) -> None:
    """Delete what a plan says.

    Raises:
        KafkaException: the cluster failed, or does not let us.
    """
    if not plan.ends:
        return
    ends = [TopicPartition(box.topic, partition, end) for partition, end in plan.ends.items()]
    for deleted in admin.delete_records(ends, operation_timeout=_PATIENCE_S).values():
        deleted.result(_PATIENCE_S)
