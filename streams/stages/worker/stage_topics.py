"""Making the topics between the stages."""

from confluent_kafka.admin import AdminClient

from streams.kafka.topic_partitions import partitions_of, wait_until_known, widen_topics
from streams.kafka.topics import TopicSettings, make_topics
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
        TopicError: one can't be made.
        AuthorizationError: we may not make them, or give the one of the join as many partitions as
            the events have got since.
        KafkaException: the cluster failed.
    """
    names = stage_topic_names(plan, stages)
    events = wait_until_known(admin, [topics.events])[topics.events]
    known = partitions_of(admin, names)
    config = {"retention.ms": str(retention_ms(plan, allowed_lateness))}
    missing = {name: config for name in names if name not in known}
    made = make_topics(admin, missing, events, topics.replication_factor)
    wait_until_known(admin, names)
    widen_topics(admin, [stages.enriched], events, f"{topics.events!r} has them")
    return made
