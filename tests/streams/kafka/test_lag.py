"""The lag is what is known of it, and no more."""

from confluent_kafka import TopicPartition

from streams.kafka.lag import lag_of


class Client:
    """Knows ends by partition, as a consumer does after it was fed."""

    def get_watermark_offsets(self, place: TopicPartition, *, cached: bool) -> tuple[int, int]:
        assert cached
        return -1001, {0: 10, 1: 3}.get(place.partition, -1001)


def test_only_partitions_of_which_the_client_knows_position_and_end_have_a_lag() -> None:
    places = [
        TopicPartition("t", partition, offset)
        for partition, offset in ((0, 4), (1, 5), (2, 4), (3, -1001))
    ]
    assert lag_of(Client(), places) == {("t", 0): 6, ("t", 1): 0}
