"""Bad records among what was read, until all before them in their partition was taken."""

from collections.abc import Mapping, Sequence

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from streams.events.rejection import Reason, Rejected
from streams.intake.input_batch import BadRecord
from streams.intake.partition_queue import PartitionQueue
from streams.kafka.batches.bad_batch import rejection_of
from streams.kafka.partition import PartitionId

_NONE = np.empty(0, np.intp)


class BadRecords:
    """Records that the decoder took for bad, or that no batch succeeds with."""

    def __init__(self) -> None:
        self._unreached: list[BadRecord] = []
        self._on_reread: dict[PartitionId, dict[int, str]] = {}

    def assign(self, queues: Mapping[PartitionId, PartitionQueue]) -> None:
        """Reading goes on at the positions of these queues."""
        self._unreached = []
        self._on_reread = {
            place: left
            for place, queue in queues.items()
            if (left := _from(self._on_reread.get(place, {}), queue.next_offset))
        }

    def reject_on_reread(self, place: PartitionId, offset: int, why: str) -> None:
        """Take this record for a bad one when it is read again, until `assign` begins behind it."""
        self._on_reread.setdefault(place, {})[offset] = why

    def among(self, place: PartitionId, offsets: NDArray[np.int64]) -> NDArray[np.intp]:
        """Positions of those among these offsets that are to be rejected on re-read."""
        rejected = self._on_reread.get(place)
        return np.flatnonzero(np.isin(offsets, list(rejected))) if rejected else _NONE

    def add_reread(
        self, place: PartitionId, messages: Sequence[Message], positions: NDArray[np.intp]
    ) -> None:
        """Those of these messages at these positions, see `among`, were read again."""
        why = self._on_reread.get(place, {})
        for i in positions.tolist():
            failed = Rejected(i, Reason.FAILED, None, why[messages[i].offset() or 0])
            self._unreached.append(BadRecord(messages[i], failed))

    def add(self, message: Message, rejected: Rejected) -> None:
        """The decoder takes this one for bad."""
        self._unreached.append(BadRecord(message, rejection_of(message, rejected)))

    def reached(self, queues: Mapping[PartitionId, PartitionQueue]) -> list[BadRecord]:
        """Those that are newly behind us, at the present positions of these queues."""
        if not self._unreached:
            return []
        reached: list[BadRecord] = []
        later: list[BadRecord] = []
        for bad in self._unreached:
            place = (bad.message.topic(), bad.message.partition())
            ready = bad.message.offset() < queues[place].position
            (reached if ready else later).append(bad)
        self._unreached = later
        return reached


def _from(rejected: dict[int, str], first: int) -> dict[int, str]:
    return {offset: why for offset, why in rejected.items() if offset >= first}
