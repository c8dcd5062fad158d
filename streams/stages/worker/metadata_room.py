"""Whether what the stages commit beside their offsets fits, however far they get.

Kafka keeps 4,096 bytes of metadata with a committed offset. What a stage has to say there grows
with its source partitions and the number of entities, so it is looked at before the first record.
"""

from collections.abc import Callable
from functools import partial

from streams.kafka.topics.topic_partitions import TopicError
from streams.stages.common.consumed_rows import ConsumedRows
from streams.stages.common.feature_version import Version
from streams.stages.common.names import StageTopics
from streams.stages.common.split import StagedPlan
from streams.stages.common.step import pack
from streams.stages.route.routing import LONGEST_TIE, Progress, Routed

_LARGEST = 2**63 - 1
_MOST_TARGETS = 1_000
_WIDEST = "\U0001f30a"


def check_metadata_room(plan: StagedPlan, stages: StageTopics, events: int, labels: int) -> None:
    """Make sure of it.

    Args:
        events, labels: how many partitions the source topics have.

    Raises:
        TopicError: it could come to be too much.
    """
    version = Version.of(plan, stages, dict.fromkeys((p.entity for p in plan.parts), _MOST_TARGETS))
    tie = _WIDEST * LONGEST_TIE
    _check(
        lambda: pack(Routed(Progress(-_LARGEST, tie), version, _LARGEST)),
        f"{len(plan.parts)} entities with windows of their own",
        "declare features over fewer entities, or give them and stages.prefix shorter names",
    )
    for part in plan.parts:
        queues = [(True, each) for each in range(events)]
        if part.plan.reads_labels:
            queues += [(False, each) for each in range(labels)]
        taken = ConsumedRows(0, _LARGEST, dict.fromkeys(queues, _LARGEST))
        _check(
            partial(getattr, taken, "position"),
            f"entity {part.entity!r}, whose events come from {len(queues)} partitions",
            "use topics of events and labels with fewer partitions (topics.partitions), or one "
            "scorer with loop.topology = fused",
        )


def _check(packed: Callable[[], object], what: str, fix: str) -> None:
    try:
        packed()
    except ValueError as error:
        raise TopicError(
            f"loop.topology = staged can't keep track of {what}: {error}; {fix}"
        ) from error
