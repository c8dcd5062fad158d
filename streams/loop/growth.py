"""Taking up partitions that were added to a topic while it is read."""

import logging
from collections.abc import Callable
from time import monotonic

from confluent_kafka import KafkaException

from streams.kafka.authorization import AuthorizationError
from streams.kafka.topics.topic_watch import TopicWatch

logger = logging.getLogger(__name__)

_AGAIN_S = 5.0


class Growth:
    """Sees to it that new partitions are read, once there is room for what they lead to.

    Args:
        watch: of the topics that are read.
        widen: gives the topics that are written to as many partitions.
    """

    def __init__(self, watch: TopicWatch, widen: Callable[[], None]) -> None:
        self._watch = watch
        self._widen = widen
        self._due = False
        self._try_at = 0.0

    def begin(self) -> None:
        """Make room for what is there already: partitions may have come while we started."""
        self._due = not self.settle()

    @property
    def due(self) -> bool:
        """Whether partitions have come that are not read yet; any thread may ask."""
        return self._due

    @property
    def gone(self) -> frozenset[str]:
        """Names of the topics that do not exist at present; any thread may ask."""
        return self._watch.gone

    def look(self) -> bool:
        """Whether partitions have come that are not read yet.

        Raises:
            PositionLostError: a topic was deleted and made anew.
        """
        if not self._due and self._watch.check():
            self._due = True
            for name, (before, now) in self._watch.grown().items():
                logger.warning(
                    "topic %r has %d partitions now, and had %d: making room for what is written "
                    "of them, then reading all of them",
                    name,
                    now,
                    before,
                )
        return self._due

    def look_now(self) -> bool:
        """The same, of this moment and not of a second ago."""
        self._watch.look()
        return self.look()

    def settle(self) -> bool:
        """Make room; whether there is, so that the new partitions can be read."""
        if monotonic() < self._try_at:
            return False
        self._try_at = monotonic() + _AGAIN_S
        try:
            self._widen()
        except AuthorizationError as error:
            logger.error(
                "waiting for somebody who may add partitions to run `weir topics`; until then "
                "nothing is read: %s",
                error,
            )
            return False
        except KafkaException as error:
            logger.warning("can't add partitions yet, trying again: %s", error.args[0].str())
            return False
        self._watch.accept()
        self._due = False
        self._try_at = 0.0
        return True

    def close(self) -> None:
        """Look no more."""
        self._watch.close()
