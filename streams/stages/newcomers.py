"""Partitions that have come to a worker, until their tasks can answer."""

import logging
from collections.abc import Callable, Iterator
from time import monotonic

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.denied import is_denial
from streams.member import GroupMember, Place, Places
from streams.stages.stage_restorer import Restoring, StageRestorer
from streams.stages.step import position_of
from streams.stages.tasks import StageTask

logger = logging.getLogger(__name__)

COMMITTED_S = 2.0
"""How long to wait for word of what is committed, while other partitions' work stands still."""

_ASK_AGAIN_S = 0.1
_COMPLAIN_S = 10.0


class Newcomers:
    """Leads each partition from its arrival to a task whose state is complete.

    First the group has to say what is committed for it, then its snapshot is loaded, then it is
    read up to what was committed.

    Args:
        new_task: makes the task of a topic's partition.
    """

    def __init__(
        self,
        member: GroupMember,
        new_task: Callable[[str, int], StageTask],
        restorer: StageRestorer,
    ) -> None:
        self._member = member
        self._new_task = new_task
        self._restorer = restorer
        self._new: set[Place] = set()
        self._loading: dict[Place, Restoring] = {}
        self._reading: dict[Place, Restoring] = {}
        self._ask_at = self._complain_at = 0.0

    @property
    def any(self) -> bool:
        """Whether a partition is on its way."""
        return bool(self._new or self._loading or self._reading)

    def come(self, places: Places) -> None:
        """Partitions have come, or have to begin anew."""
        self._new |= set(places)
        self._ask_at = 0.0

    def forget(self, place: Place) -> None:
        """A partition is gone."""
        self._new.discard(place)
        self._loading.pop(place, None)
        self._reading.pop(place, None)

    def begin(self) -> None:
        """Make tasks for partitions that have come, once the group says what is committed.

        Raises:
            MissingHistoryError: records expired before they were answered.
            MessageError: something else was committed for this group.
            KafkaException: the cluster failed in a way that a new attempt can't mend.
        """
        if not self._new or monotonic() < self._ask_at:
            return
        self._ask_at = monotonic() + _ASK_AGAIN_S
        try:
            committed = self._member.stable_offsets(self._new, COMMITTED_S)
        except KafkaException as error:
            if is_denial(error.args[0]):
                raise
            self._complain("any partition", error.args[0])
            return
        for each in committed:
            if each.error is None:
                self._begin((each.topic, each.partition), each)
            elif each.error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT:
                # So it is as long as the transaction of a worker that died is still open.
                self._complain(f"{each.topic}[{each.partition}] and maybe others", each.error)
            else:
                raise KafkaException(each.error)

    def _complain(self, where: str, error: KafkaError) -> None:
        if monotonic() >= self._complain_at:
            self._complain_at = monotonic() + _COMPLAIN_S
            logger.warning("committed offsets of %s are not to be had yet: %s", where, error.str())

    def loaded(self) -> Iterator[Restoring]:
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
                logger.warning("a snapshot is not to be had yet: %s", error.args[0].str())
                self._new.add(place)
                continue
            self._member.begin(place, offset)
            self._reading[place] = restoring
            logger.info("%s[%d] from offset %d", *place, offset)
            yield restoring

    def complete(self) -> Iterator[Restoring]:
        """Yield each whose state has become complete.

        Raises:
            MissingHistoryError: what its windows look back on has expired.
        """
        for place, restoring in list(self._reading.items()):
            if restoring.task.ready:
                del self._reading[place]
                self._restorer.complete(restoring)
                yield restoring

    def _begin(self, place: Place, committed: TopicPartition) -> None:
        position, pointer = position_of(committed)
        first = self._member.first_offset(place)
        self._loading[place] = self._restorer.start(
            place, self._new_task(*place), position, pointer, first
        )
        self._new.discard(place)
