"""What librdkafka says, as lines of our log; of brokers that are away, see `broker_watch`."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from streams.kafka.connection.broker_watch import suspect

logger = logging.getLogger(__name__)

_CONNECTION = {"FAIL", "ERROR", "REQTMOUT"}
"""What it calls lines about a connection: one that failed, all that have, one without an answer."""
_THREAD = re.compile(r"^\[thrd:[^]]*\]+: ")
_ADDRESS = re.compile(r"(?:^|[\s/])(\[[^\]\s]+\]:\d+|[^\s:/\[\]]+:\d+)(?=[/:])")


class ClientLog:
    """Stands where a client of Kafka takes a logger (``logger`` in its settings).

    The client hands its lines over when it is polled, so they may come late.

    Args:
        config: librdkafka's settings to reach the same brokers.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def log(self, level: int, form: str, facility: str, client: str, said: str) -> None:
        """Called by the client with a line; `level` is one of Python's, `form` is of no use."""
        text = _THREAD.sub("", said)
        if facility not in _CONNECTION:
            logger.log(level, "%s (said by %s of Kafka's client: %s)", text, client, facility)
            return
        logger.debug("%s (said by %s of Kafka's client: %s)", text, client, facility)
        address = _ADDRESS.search(text)
        if address is not None:
            suspect(address[1], self._config)
