"""Calls of a transactional producer that are made again until they go through or time is over."""

import logging
from collections.abc import Callable
from math import inf
from threading import Event
from time import monotonic

from confluent_kafka import KafkaException

logger = logging.getLogger(__name__)


def patiently(
    call: Callable[[float], None],
    within_s: float,
    *,
    at_most_s: float = inf,
    stop: Event | None = None,
) -> None:
    """Call again while the client says that it may go better next time.

    Args:
        call: takes the seconds that are left for it, at least one.
        at_most_s: so long a single call may take.
        stop: once it is set, no call is made again.

    Raises:
        KafkaException: it failed for good, or the time is over.
    """
    deadline = monotonic() + within_s
    while True:
        try:
            call(min(at_most_s, max(1.0, deadline - monotonic())))
            return
        except KafkaException as error:
            stopped = stop is not None and stop.is_set()
            if not error.args[0].retriable() or monotonic() > deadline or stopped:
                raise
            logger.warning("a Kafka transaction call failed, trying again: %s", error.args[0].str())
