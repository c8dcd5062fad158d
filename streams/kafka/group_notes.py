"""What members of a consumer group have noted beside the offsets that they committed."""

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.kafka.client import KafkaSettings


def group_notes(kafka: KafkaSettings, group: str, topic: str, timeout_s: float) -> dict[int, str]:
    """By partition; empty texts where nothing was noted, and no partition without an offset.

    Not for groups that commit in transactions: while one is open, there is no answer.

    Raises:
        KafkaException: the cluster does not say in time, or we may not ask.
    """
    consumer = Consumer(kafka.consumer_config(group_id=group))
    try:
        known = consumer.list_topics(topic, timeout=timeout_s).topics.get(topic)
        if known is None or known.error is not None:
            return {}
        places = [TopicPartition(topic, partition) for partition in known.partitions]
        found = consumer.committed(places, timeout=timeout_s) if places else []
    finally:
        consumer.close()
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
    return {each.partition: each.metadata or "" for each in found if each.offset >= 0}


def note_again(kafka: KafkaSettings, group: str, topic: str, note: str, timeout_s: float) -> None:
    """Put another note beside each offset of a group that has no members.

    Raises:
        KafkaException: the cluster does not take it, as where the group has members.
    """
    consumer = Consumer(kafka.consumer_config(group_id=group))
    try:
        known = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
        places = [TopicPartition(topic, partition) for partition in known.partitions]
        found = [each for each in consumer.committed(places, timeout=timeout_s) if each.offset >= 0]
        if found:
            noted = [TopicPartition(topic, each.partition, each.offset, note) for each in found]
            done = consumer.commit(offsets=noted, asynchronous=False) or []
            for each in done:
                if each.error is not None:
                    raise KafkaException(each.error)
    finally:
        consumer.close()
