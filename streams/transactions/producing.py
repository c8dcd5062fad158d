"""Handing records to a producer, which may have to take a breath, or to learn of a partition."""

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.kafka.message import Header
from streams.transactions.outcome import Outgoing

_METADATA_S = 10.0


def produce(producer: Producer, out: Outgoing) -> None:
    """Hand over records; they may not be sent yet.

    Raises:
        KafkaException: the client takes no record, such as in a transaction that has failed.
    """
    topic, send = out.topic, producer.produce
    headers: Sequence[list[Header] | None] = out.headers or [None] * len(out.values)
    known = False
    for value, key, partition, header in zip(
        out.values, out.keys, out.partitions, headers, strict=True
    ):
        while True:
            try:
                if header is None:
                    send(topic, value, key, partition)
                else:
                    send(topic, value, key, partition, headers=header)
                break
            except BufferError:
                producer.poll(0.1)
            except KafkaException as error:
                # A partition that was added a moment ago, and that this client knows not yet.
                if error.args[0].code() != KafkaError._UNKNOWN_PARTITION or known:
                    raise
                known = True
                producer.list_topics(topic, _METADATA_S)
    producer.poll(0)
