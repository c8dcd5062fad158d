"""How far behind a consumer is."""

from collections.abc import Iterable

from confluent_kafka import Consumer, TopicPartition


def lag_of(consumer: Consumer, positions: Iterable[TopicPartition]) -> dict[tuple[str, int], int]:
    """Records behind each position, from what the client knows without asking the cluster.

    Args:
        positions: the next offset to be dealt with of each partition. Partitions of which the
            client knows no offset, or no end yet, are left out.
    """
    lag = {}
    for place in positions:
        _, end = consumer.get_watermark_offsets(place, cached=True)
        if place.offset >= 0 and end >= 0:
            lag[place.topic, place.partition] = max(0, end - place.offset)
    return lag
