"""Whether the cluster answers: noticed from what clients complain of.

Kafka's clients say that a connection broke, again and again, and never that it is back. So who has
complaints asks the cluster itself until it answers.
"""

import logging
from math import inf
from threading import Event, Lock, Thread
from time import monotonic

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.kafka.client import KafkaSettings

logger = logging.getLogger(__name__)

_ANSWER_S = 1.0
_AGAIN_S = 0.2
_LOST = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
}
_PASSING = _LOST | {
    KafkaError._DESTROY,  # a connection was given up for another; the question may be asked again
    KafkaError._PREV_IN_PROGRESS,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._UNKNOWN_PARTITION,  # so it is for a moment where a broker has just started
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._WAIT_COORD,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
}


def passes(error: KafkaException) -> bool:
    """Whether a call failed for something that passes, such as a broker that starts again."""
    cause: KafkaError = error.args[0]
    return cause.retriable() or cause.code() in _PASSING


class ClusterWatch:
    """Knows whether the cluster is away; made for the clients of one process.

    Attributes:
        away: it did not answer when asked last, and is asked again.
        lost_at: when a client lost a connection, or the cluster came back after that; seconds of
            `monotonic`.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._lock = Lock()
        self._closed = Event()
        self._asking = False
        self.away = False
        self.lost_at = -inf

    def note_error(self, error: KafkaError) -> None:
        """Take a client's complaint; to be its ``error_cb``. Any thread."""
        if error.code() not in _LOST:
            logger.warning("Kafka: %s", error.str())
            return
        self.lost_at = monotonic()
        with self._lock:
            if self._asking or self._closed.is_set():
                return
            self._asking = True
        Thread(target=self._ask, name="cluster watch", daemon=True).start()

    def close(self) -> None:
        """Ask no more."""
        self._closed.set()

    def _ask(self) -> None:
        """Ask until there is an answer."""
        since = monotonic()
        admin = AdminClient(self._kafka.client_config() | {"log_level": 0})
        while not self._closed.is_set() and not _answers(admin):
            if not self.away:
                self.away = True
                # What is said of it is `broker_watch`'s to say, once for all clients.
                logger.debug("Kafka at %r does not answer", self._kafka.bootstrap_servers)
            self._closed.wait(_AGAIN_S)
        with self._lock:
            self._asking = False
        if self.away and not self._closed.is_set():
            self.lost_at = monotonic()
            self.away = False
            logger.debug(
                "Kafka at %r answers again, after %.1f s",
                self._kafka.bootstrap_servers,
                monotonic() - since,
            )


def _answers(admin: AdminClient) -> bool:
    try:
        admin.list_topics(timeout=_ANSWER_S)
    except KafkaException:
        return False
    return True
