"""Partitions that have come to a worker, until their tasks can answer."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.kafka.authorization import is_denial
from streams.kafka.cluster_watch import passes
from streams.kafka.committed_offsets import OffsetAsker
from streams.kafka.partition import PartitionId, PartitionIds
from streams.loop.group_member import GroupMember
from streams.loop.position_check import Believed
from streams.stages.common.step import position_of
from streams.stages.common.task import StageTask
from streams.stages.worker.stage_restorer import Restoring, StageRestorer

logger = logging.getLogger(__name__)

_COMMITTED_S = 1.0
_ASK_AGAIN_S = 0.1
_COMPLAIN_S = 10.0


class PartitionStartup:
    """Leads each partition from its arrival to a task whose state is complete.

    First the group has to say what is committed for it, then its snapshot is loaded, then it is
    read up to what was committed.

    Args:
        new_task: makes the task of a topic's partition.
        asker: asks what the group has committed.
        believed: see `PositionCheck`.
    """

    def __init__(
        self,
        member: GroupMember,
        new_task: Callable[[str, int], StageTask],
        restorer: StageRestorer,
        asker: OffsetAsker,
        believed: Believed,
    ) -> None:
        self._member = member
        self._new_task = new_task
        self._restorer = restorer
        self._asker = asker
        self._believed = believed
        # One thread, so that partitions are asked for in turn, and none holds up the stream.
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="committed")
        self._asked: dict[PartitionId, Future[TopicPartition]] = {}
        self._new: set[PartitionId] = set()
        self._loading: dict[PartitionId, Restoring] = {}
        self._reading: dict[PartitionId, Restoring] = {}
        self._ask_at = self._complain_at = 0.0

    @property
    def any(self) -> bool:
        """Whether a partition is on its way."""
        return bool(self._new or self._loading or self._reading)

    def assigned(self, places: PartitionIds) -> None:
        """Partitions have come, or have to begin anew."""
        self._new |= set(places)
        self._ask_at = 0.0
        for place in places:
            self._asked.pop(place, None)  # asked before they went and came again

    def forget(self, place: PartitionId) -> None:
        """A partition is gone."""
        self._new.discard(place)
        self._asked.pop(place, None)
        self._loading.pop(place, None)
        self._reading.pop(place, None)

    def begin(self) -> None:
        """Make tasks for partitions that have come, once the group says what is committed.

        Raises:
            MissingHistoryError: records expired before they were answered.
            MessageError: something else was committed for this group.
            KafkaException: the cluster failed in a way that a new attempt can't fix.
        """
        if monotonic() >= self._ask_at:
            self._ask_at = monotonic() + _ASK_AGAIN_S
            for place in self._new - self._asked.keys():
                self._asked[place] = self._asking.submit(self._committed, place, monotonic())
        for place, answer in list(self._asked.items()):
            if not answer.done():
                continue
            del self._asked[place]
            try:
                committed = answer.result()
            except KafkaException as error:
                if is_denial(error.args[0]):
                    raise
                # So it is as long as the transaction of a worker that died is still open.
                self._complain(place, error.args[0])
                continue
            if committed.error is None:
                try:
                    self._begin(place, committed)
                except KafkaException as error:
                    if not passes(error):
                        raise
                    self._complain(place, error.args[0])
            elif committed.error.retriable():
                self._complain(place, committed.error)
            else:
                raise KafkaException(committed.error)

    def close(self) -> None:
        """Ask no more."""
        self._asking.shutdown(cancel_futures=True)
        self._asker.close()

    def _committed(self, place: PartitionId, ours_since: float) -> TopicPartition:
        """Where reading goes on, by the group and its log; in a thread."""
        committed = self._asker.committed(*place, _COMMITTED_S)
        return self._believed(committed, ours_since)

    def _complain(self, place: PartitionId, error: KafkaError) -> None:
        if monotonic() >= self._complain_at:
            self._complain_at = monotonic() + _COMPLAIN_S
            logger.warning(
                "waiting for the committed offsets of %s[%d]: %s (an open transaction may have "
                "to time out first)",
                *place,
                error.str(),
            )

    def restored(self) -> Iterator[Restoring]:
        """Yield each that is to be fed from now on.

        Raises:
            MessageError: something else was committed for this group.
            KafkaException: as for `begin`.
        """
        for place, restoring in list(self._loading.items()):
            if not restoring.next_offset.done():
                continue
            del self._loading[place]
            try:
                offset = restoring.next_offset.result()
            except KafkaException as error:
                if is_denial(error.args[0]):
                    raise
                logger.warning("can't read a snapshot yet, trying again: %s", error.args[0].str())
                self._new.add(place)
                continue
            self._member.begin(place, offset)
            self._reading[place] = restoring
            logger.info("reading %s[%d] from offset %d", *place, offset)
            yield restoring

    def caught_up(self) -> Iterator[Restoring]:
        """Yield each whose state has become complete.

        Raises:
            MissingHistoryError: what its windows look back on has expired.
        """
        for place, restoring in list(self._reading.items()):
            if restoring.task.ready:
                del self._reading[place]
                self._restorer.complete(restoring)
                yield restoring

    def _begin(self, place: PartitionId, committed: TopicPartition) -> None:
        position, pointer = position_of(committed)
        first = self._member.first_offset(place)
        self._loading[place] = self._restorer.start(
            place, self._new_task(*place), position, pointer, first
        )
        self._new.discard(place)
