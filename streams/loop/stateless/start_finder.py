"""Finding out where the reading of a partition goes on, and what its state is there."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event
from time import monotonic
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException

from streams.base.closing import ClosedAtEnd
from streams.kafka.authorization import is_denial
from streams.kafka.client import KafkaSettings
from streams.kafka.committed_offsets import OffsetAsker
from streams.kafka.partition import PartitionId
from streams.loop.position_check import Believed

logger = logging.getLogger(__name__)


_ASKING = 16
"""Threads at most. Most are seldom busy; those of partitions whose former owner left a transaction
open must not hold up the others."""
_COMMITTED_S = 1.0
_AGAIN_S = 0.1
_COMPLAIN_S = 10.0


class RestoredState(Protocol):
    """What has to be restored before a partition is read; see `KeyedState`."""

    def read(self, place: PartitionId, cancelled: Event) -> Any:
        """Read what was committed of a partition's state, in another thread."""

    def load(self, place: PartitionId, entries: Any) -> None:
        """Take up what was read."""

    def drop(self, place: PartitionId) -> None:
        """Forget the state of a partition that is ours no more."""


class Starting(NamedTuple):
    """A partition that has come and is not read yet.

    Attributes:
        start: what is committed of it, and its state; see `StartFinder.find`.
        cancelled: set where nobody wants to know any more.
    """

    start: "Future[tuple[int, Any]]"
    cancelled: Event


class StartFinder(ClosedAtEnd):
    """Asks the group for the committed offset of partitions, each in a thread.

    Args:
        state: read once the offset is known.
        believed: see `PositionCheck`.
    """

    def __init__(
        self, kafka: KafkaSettings, group: str, state: RestoredState | None, believed: Believed
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._state = state
        self._believed = believed
        self._complain_at = 0.0
        self._askers: SimpleQueue[OffsetAsker] = SimpleQueue()
        self._threads = ThreadPoolExecutor(_ASKING, thread_name_prefix="start of a partition")

    def find(self, place: PartitionId) -> Starting:
        """Begin to ask for the committed offset, -1 for nothing, and to read the state there.

        While the cluster does not say, it is asked again and again. What is in the future then is
        an error of other kinds: we may not ask, or the state has no place.
        """
        cancelled = Event()
        return Starting(self._threads.submit(self._find_start, place, cancelled), cancelled)

    def close(self) -> None:
        """Ask no more; what is under way must have been cancelled."""
        self._threads.shutdown(cancel_futures=True)
        with suppress(Empty):
            while True:
                self._askers.get_nowait().close()

    def _find_start(self, place: PartitionId, cancelled: Event) -> tuple[int, Any]:
        """What the group has committed of a partition, and its state there; in a thread."""
        ours_since = monotonic()
        while not cancelled.is_set():
            try:
                committed = self._committed(place, ours_since)
                # Not before, or the state might lack what the transaction did that moved it.
                entries = None if self._state is None else self._state.read(place, cancelled)
            except KafkaException as error:
                if is_denial(error.args[0]):
                    raise
                # So it is for as long as a transaction of a worker that died is open.
                self._complain(place, error.args[0])
                cancelled.wait(_AGAIN_S)
            else:
                return committed, entries
        return -1, None

    def _committed(self, place: PartitionId, since: float) -> int:
        """What the group has committed of a partition, once that is certain; -1 is nothing."""
        try:
            asker = self._askers.get_nowait()
        except Empty:
            asker = OffsetAsker(self._kafka, self._group)
        committed = asker.committed(*place, _COMMITTED_S)
        self._askers.put(asker)
        if committed.error is not None:
            raise KafkaException(committed.error)
        return max(int(self._believed(committed, since).offset), -1)

    def _complain(self, place: PartitionId, error: KafkaError) -> None:
        if monotonic() >= self._complain_at:
            self._complain_at = monotonic() + _COMPLAIN_S
            logger.warning(
                "waiting for the committed offset of %s[%d] in the consumer group %s: %s. Trying "
                "again; a transaction that a stopped worker left open may have to time out first",
                *place,
                self._group,
                error.str(),
            )
