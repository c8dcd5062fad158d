"""How far behind a group is, by what the broker itself says."""

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from weir.config.settings import Settings

Place = tuple[str, int]


def group_lag(settings: Settings) -> dict[Place, int]:
    """Log end less committed offset of all that a scorer's group has ever committed."""
    return lag_of_group(AdminClient(settings.kafka.client_config()), settings.loop.group)


def lag_of_group(admin: AdminClient, group: str) -> dict[Place, int]:
    """The same for any group."""
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    committed = {
        (each.topic, each.partition): each.offset
        for each in asked[group].result(30).topic_partitions
    }
    ends = admin.list_offsets(
        {TopicPartition(*place): OffsetSpec.latest() for place in committed},
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
    )
    return {
        (place.topic, place.partition): answer.result(30).offset
        - committed[place.topic, place.partition]
        for place, answer in ends.items()
    }
