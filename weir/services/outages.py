"""What a process does that looks again and again, while the cluster is away."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException

from streams.kafka.authorization import is_denial
from streams.kafka.records.publisher import PublishError

logger = logging.getLogger(__name__)


@contextmanager
def outages_survived(failed: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Log what the cluster did not do in the block, and go on behind it: the next look tries again.

    Args:
        failed: called then.

    Raises:
        KafkaException: we may not do it.
    """
    try:
        yield
    except (PublishError, KafkaException) as error:
        if isinstance(error, KafkaException) and is_denial(error.args[0]):
            raise
        logger.warning("the cluster did not answer as it should, looking again: %s", error)
        failed()
