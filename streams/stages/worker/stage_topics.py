"""Making the topics between the stages."""

from confluent_kafka.admin import AdminClient

from streams.base.errors import HISTORY_MISSING, WeirError
from streams.kafka.topics.topic_partitions import partitions_of, wait_until_known, widen_topics
from streams.kafka.topics.weir_topics import TopicSettings, make_topics
from streams.stages.common.names import StageTopics
from streams.stages.common.split import StagedPlan


class KeysMovedError(WeirError):
    """The events have got partitions, and windows of their key stand in the old ones."""

    exit_code = HISTORY_MISSING


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


def refuse_moved_keys(plan: StagedPlan, topic: str, before: int, now: int) -> None:
    """Refuse to go on where the events have got partitions and the join keeps windows of the key.

    Raises:
        KeysMovedError: so it is.
    """
    keeps_windows = plan.local is not None and bool(plan.local.entities)
    if before < now and keeps_windows:
        key = plan.whole.contract.key
        raise KeysMovedError(
            f"topic {topic!r} has {now} partitions now, and had {before}: values of {key!r} move "
            "to other partitions, and what their windows look back on stays where it is. Stop all "
            "workers; then start them with stages.keyed = false and a new stages.prefix, which "
            "computes all windows anew and exactly, or with `--on-missing-history warn`, which "
            f"goes on with windows of {key!r} that are too small at first"
        )


def ensure_stage_topics(
    admin: AdminClient,
    topics: TopicSettings,
    plan: StagedPlan,
    stages: StageTopics,
    allowed_lateness: int,
    *,
    tolerant: bool,
) -> list[str]:
    """Make the topics between the stages that are missing, and return their names.

    Args:
        tolerant: add partitions to the topic of the join also where the windows of keys that move
            to them will be too small at first.

    Raises:
        KeysMovedError: the events have got partitions since, the join keeps windows of the key, and
            we are not tolerant.
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
    joined = wait_until_known(admin, names)[stages.enriched]
    if not tolerant:
        refuse_moved_keys(plan, topics.events, joined, events)
    widen_topics(admin, [stages.enriched], events, f"{topics.events!r} has them")
    return made
