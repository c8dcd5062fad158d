"""What keeps a process from its work, and lets it live: quotas, open transactions, a lost id."""

import socket
import struct
from collections.abc import Callable, Sequence
from threading import Event, Thread

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

_ALTER_CLIENT_QUOTAS = 49
_LONGEST_MS = 600_000


def members_of(bootstrap: str, group: str) -> list[str]:
    """The client ids of a consumer group's members."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    (described,) = admin.describe_consumer_groups([group]).values()
    return [member.client_id for member in described.result(30).members]


def throttle(bootstrap: str, clients: Sequence[str], bytes_per_s: float | None) -> None:
    """Let clients of these ids read no faster; None lifts that.

    By the protocol's own request, version 0: Kafka's client for Python has none for it.

    Raises:
        RuntimeError: the broker refused it; with its error code.
    """
    entries = b"".join(
        struct.pack(">i", 1)
        + _text("client-id")
        + _text(client)
        + struct.pack(">i", 1)
        + _text("consumer_byte_rate")
        + struct.pack(">d?", bytes_per_s or 0.0, bytes_per_s is None)
        for client in clients
    )
    request = struct.pack(">hhih", _ALTER_CLIENT_QUOTAS, 0, 1, -1)
    request += struct.pack(">i", len(clients)) + entries + struct.pack(">?", False)
    host, port = bootstrap.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.makefile("rb")
        (size,) = struct.unpack(">i", answer.read(4))
        body = answer.read(size)
    # correlation id, throttle time, number of entries, the first one's error
    (error,) = struct.unpack_from(">h", body, 4 + 4 + 4)
    if error:
        raise RuntimeError(f"the broker refused the quota: error code {error}")


def expire(bootstrap: str, topic: str, but: int) -> None:
    """Delete the records of a topic as its retention does, but for so many of each partition."""
    client = {"bootstrap.servers": bootstrap}
    admin, consumer = AdminClient(client), Consumer(client | {"group.id": "nobody"})
    places = [
        TopicPartition(topic, each) for each in admin.list_topics(topic).topics[topic].partitions
    ]
    until = []
    for place in places:
        low, high = consumer.get_watermark_offsets(place, timeout=30)
        until.append(TopicPartition(topic, place.partition, max(low, high - but)))
    consumer.close()
    for done in admin.delete_records(until).values():
        done.result(30)


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def open_transaction(bootstrap: str, topic: str) -> Callable[[], None]:
    """Leave a transaction open in a topic's partition 0, so that nobody reads on there.

    What it returns aborts it.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": "somebody-who-hangs",
            "transaction.timeout.ms": _LONGEST_MS,
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"never to be seen", partition=0)
    producer.flush(30)
    return lambda: producer.abort_transaction(30)


def take_id_again_and_again(bootstrap: str, transactional_id: str) -> Callable[[], None]:
    """Fence off who has this id, once a second, as another process that has it by mistake.

    What it returns ends that.
    """
    over = Event()

    def take() -> None:
        while not over.wait(1):
            producer = Producer(
                {
                    "bootstrap.servers": bootstrap,
                    "transactional.id": transactional_id,
                    "log_level": 0,  # it is refused now and then, and says so
                }
            )
            try:
                producer.init_transactions(10)
            except KafkaException:  # it was taken back meanwhile
                continue

    thread = Thread(target=take, daemon=True)
    thread.start()

    def end() -> None:
        over.set()
        thread.join(30)

    return end
