"""Is the broker ready? Only a record that went in and came out says so."""

import socket
import time
import uuid
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PROBE_TOPIC = "__weir_probe"

# The broker makes these itself, but only when first asked for them, and librdkafka then waits
# seconds before it asks again. Values are the broker's own.
_COMPACTED = {"cleanup.policy": "compact", "segment.bytes": str(100 << 20)}
_TOPICS = {
    PROBE_TOPIC: (1, {"cleanup.policy": "delete", "retention.bytes": str(1 << 20)}),
    "__consumer_offsets": (4, {**_COMPACTED, "compression.type": "producer"}),
    "__transaction_state": (
        4,
        {
            **_COMPACTED,
            "compression.type": "uncompressed",
            "min.insync.replicas": "1",
            "unclean.leader.election.enable": "false",
        },
    ),
}


_REFUSED = (KafkaError._AUTHENTICATION, KafkaError._SSL)


class NotReadyError(Exception):
    """The broker does not answer as a ready one does; the message says how far it got."""


def answers(client: Mapping[str, str], cluster_id: str, timeout: float) -> bool:
    """Whether a broker of this cluster answers and leads the probe topic."""
    try:
        metadata = AdminClient(_quiet(client)).list_topics(PROBE_TOPIC, timeout=timeout)
    except KafkaException:
        return False
    if metadata.cluster_id != cluster_id:
        return False
    partitions = metadata.topics[PROBE_TOPIC].partitions
    return 0 in partitions and partitions[0].leader >= 0


def wait_for_port(host: str, port: int, seconds: float) -> bool:
    """Whether something listens there within some seconds; cheaper than a client's attempts."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=1.0).close()
        except OSError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def round_trip(client: Mapping[str, str], cluster_id: str, deadline: float) -> None:
    """Produce one record and consume it, making the internal topics first if need be.

    Args:
        client: librdkafka's settings to connect with.
        cluster_id: the cluster that must answer.
        deadline: on the clock of `time.monotonic`, seconds.

    Raises:
        NotReadyError: it did not go through in time, or another cluster answers.
    """
    seen: list[KafkaError] = []
    admin = AdminClient({**_quiet(client), "error_cb": seen.append})
    try:
        metadata = admin.list_topics(timeout=_left(deadline))
        if metadata.cluster_id != cluster_id:
            raise NotReadyError(
                f"another Kafka cluster ({metadata.cluster_id}) answers on its port"
            )
        _create_topics(admin, set(metadata.topics), deadline)
        nonce = uuid.uuid4().bytes
        _consume(client, _produce(client, nonce, deadline), nonce, deadline)
    except KafkaException as error:
        admin.poll(0)  # calls error_cb
        refused = [each for each in seen if each.code() in _REFUSED]
        raise NotReadyError((refused or [error.args[0]])[-1].str()) from error


def _create_topics(admin: AdminClient, existing: set[str], deadline: float) -> None:
    wanted = [
        NewTopic(name, partitions, 1, config=config)
        for name, (partitions, config) in _TOPICS.items()
        if name not in existing
    ]
    if not wanted:
        return
    for future in admin.create_topics(wanted, operation_timeout=_left(deadline)).values():
        try:
            future.result(timeout=_left(deadline))
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def _produce(client: Mapping[str, str], value: bytes, deadline: float) -> int:
    outcome: list[tuple[KafkaError | None, int]] = []
    timeout_ms = max(1, int(_left(deadline) * 1000))
    # Idempotent, as Weir's own producers are: handing out producer ids is the last thing that a
    # starting broker learns, and a client that asks too early complains in the log.
    settings = {"linger.ms": 0, "message.timeout.ms": timeout_ms, "enable.idempotence": True}
    producer = Producer({**_quiet(client), **settings})
    producer.produce(
        PROBE_TOPIC,
        value,
        partition=0,
        on_delivery=lambda error, message: outcome.append((error, message.offset())),
    )
    producer.flush(_left(deadline))
    if not outcome:
        raise NotReadyError("a produced record was not acknowledged")
    error, offset = outcome[0]
    if error is not None:
        raise NotReadyError(f"a record could not be produced: {error.str()}")
    return offset


def _consume(client: Mapping[str, str], offset: int, value: bytes, deadline: float) -> None:
    # Assigned by hand: a group would need a coordinator and a rebalance, and is not the question.
    consumer = Consumer({**_quiet(client), "group.id": "weir-probe", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(PROBE_TOPIC, 0, offset)])
        while (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(min(left, 1.0))
            if message is not None and message.error() is None and message.value() == value:
                return
    finally:
        consumer.close()
    raise NotReadyError("a produced record did not come back")


def _quiet(client: Mapping[str, str]) -> dict[str, object]:
    """Add: no lines on stderr about a broker that is still starting."""
    return {"log_level": 0, "log.connection.close": False, **client}


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
