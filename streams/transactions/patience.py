"""Calls of a transactional producer that are made again until they go through or time is over."""

import logging
from collections.abc import Callable
from time import monotonic

from confluent_kafka import KafkaException

logger = logging.getLogger(__name__)


def patiently(call: Callable[[float], None], within_s: float) -> None:
    """Call again while the client says that it may go better next time.

    Args:
        call: takes the seconds that are left for it, at least one.

    Raises:
        KafkaException: it failed for good, or the time is over.
    """
    deadline = monotonic() + within_s
    while True:
        try:
            call(max(1.0, deadline - monotonic()))
            return
        except KafkaException as error:
            if not error.args[0].retriable() or monotonic() > deadline:
                raise
            logger.warning("a Kafka transaction call failed, trying again: %s", error.args[0].str())
