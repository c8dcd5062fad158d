"""Making the topics between the stages."""

from confluent_kafka.admin import AdminClient

from streams.kafka.topics import (
    TopicError,
    TopicSettings,
    make_topics,
    partitions_of,
    wait_until_known,
)
from streams.stages.common.names import StageTopics
from streams.stages.common.split import StagedPlan

_SPARE_MS = 7 * 86_400_000


def stage_topic_names(plan: StagedPlan, stages: StageTopics) -> list[str]:
    """The topics of a plan, the one for the join last."""
    return [*(stages.by_entity(part.entity) for part in plan.parts), stages.enriched]


def retention_ms(plan: StagedPlan, allowed_lateness: int) -> int:
    """How long stage topics keep records: what windows look back on, and a week for outages.

    State is made anew from these topics, and they are stamped when an event is routed, which is
    not before it happened but for the allowed skew of clocks.
    """
    whole = plan.whole
    return whole.history_ms + allowed_lateness + whole.contract.max_future + _SPARE_MS


def ensure_stage_topics(
    admin: AdminClient,
    topics: TopicSettings,
    plan: StagedPlan,
    stages: StageTopics,
    allowed_lateness: int,
) -> list[str]:
    """Make the topics between the stages that are missing, and return their names.

    Raises:
        TopicError: one can't be made, or the events have got more partitions since.
        AuthorizationError: we may not make them.
        KafkaException: the cluster failed.
    """
    names = stage_topic_names(plan, stages)
    events = wait_until_known(admin, [topics.events])[topics.events]
    known = partitions_of(admin, names)
    config = {"retention.ms": str(retention_ms(plan, allowed_lateness))}
    missing = {name: config for name in names if name not in known}
    made = make_topics(admin, missing, events, topics.replication_factor)
    joined = wait_until_known(admin, names)[stages.enriched]
    if joined != events:
        raise TopicError(
            f"topic {stages.enriched!r} has {joined} partitions, and {topics.events!r} has "
            f"{events}: stop all workers, and start them with a new stages.prefix"
        )
    return made
