"""The lag of a consumer group as the broker's own tools see it."""

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec


def group_lag(kafka: str, group: str, topic: str) -> dict[int, int | None]:
    """The end of each partition less what is committed; None where nothing is."""
    admin = AdminClient({"bootstrap.servers": kafka})
    partitions = admin.list_topics(topic, timeout=30).topics[topic].partitions
    places = [TopicPartition(topic, partition) for partition in partitions]
    ends = admin.list_offsets({place: OffsetSpec.latest() for place in places})
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
    committed = {each.partition: each.offset for each in asked[group].result(30).topic_partitions}
    return {
        place.partition: end.result(30).offset - committed[place.partition]
        if committed[place.partition] >= 0
        else None
        for place, end in ends.items()
    }
