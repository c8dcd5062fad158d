"""Waiting until all that stands in a topic is committed or aborted."""

from collections.abc import Sequence
from time import monotonic, sleep

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

_SETTLED_WITHIN_S = 120.0
_AGAIN_S = 0.2
_ANSWER_S = 30.0


def wait_until_settled(admin: AdminClient, topic: str, partitions: int) -> bool:
    """Wait for the end of every transaction that is open now; False if one does not end.

    An open transaction hides what stands behind it.

    Raises:
        KafkaException: the cluster failed.
    """
    places = [TopicPartition(topic, each) for each in range(partitions)]
    ends = _ends(admin, places, IsolationLevel.READ_UNCOMMITTED)
    deadline = monotonic() + _SETTLED_WITHIN_S
    while True:
        settled = _ends(admin, places, IsolationLevel.READ_COMMITTED)
        if all(settled[partition] >= end for partition, end in ends.items()):
            return True
        if monotonic() > deadline:
            return False
        sleep(_AGAIN_S)


def _ends(
    admin: AdminClient, places: Sequence[TopicPartition], isolation: IsolationLevel
) -> dict[int, int]:
    asked = {place: OffsetSpec.latest() for place in places}
    answers = admin.list_offsets(asked, isolation_level=isolation) if asked else {}
    return {place.partition: answer.result(_ANSWER_S).offset for place, answer in answers.items()}
