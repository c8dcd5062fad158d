"""Asking what a group has committed, without being held up by what is not to be had yet."""

from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.kafka.client import KafkaSettings


class OffsetAsker:
    """Asks for the committed offset of one partition at a time, as a client of its own.

    An offset on which a transaction is open is not to be had. Kafka's client then asks again and
    again, and answers no other question meanwhile, even after its own timeout. So a client that got
    no answer is given up. The admin client could ask for all at once; but where connections break
    in the midst of that question it ends the process with an assertion (docs/chaos.md, seed 404).

    Not for several threads at once.
    """

    def __init__(self, kafka: KafkaSettings, group: str) -> None:
        self._config = kafka.consumer_config(group_id=group)
        self._client: Any = None

    def committed(self, topic: str, partition: int, timeout_s: float) -> TopicPartition:
        """The committed offset with its metadata; -1001 is nothing.

        Raises:
            KafkaException: it is not to be had in time, or we may not ask.
        """
        if self._client is None:
            self._client = Consumer(self._config)
        try:
            found = self._client.committed([TopicPartition(topic, partition)], timeout=timeout_s)
        except KafkaException:
            self.close()
            raise
        (committed,) = found
        return committed

    def close(self) -> None:
        """Give the client up."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
