"""Snapshots of a staged worker's partitions: when they are due, and where the last ones lie.

The place of a partition's last whole snapshot goes with each of its commits, behind the stage's own
metadata: so a worker that takes the partition over finds both in one step, and a snapshot is never
of a later position than the committed one.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.intake.position import Position
from streams.kafka.client import KafkaSettings
from streams.kafka.partition import PartitionId
from streams.snapshots import Pointer, SnapshotSettings
from streams.snapshots.schedule import Schedule
from streams.snapshots.senders import MemberSender
from streams.snapshots.writer import Observe, SnapshotWriter
from streams.stages.common.task import StageTask

logger = logging.getLogger(__name__)

_PATIENCE_S = 60.0


def owner_of(group: str, place: PartitionId) -> str:
    """Whose state the snapshots of a stage's partition are."""
    topic, partition = place
    return f"{group}/{topic}/{partition}"


@dataclass
class _Kept:
    """What is known of a partition's snapshots.

    Attributes:
        pointer: the last whole one.
        committed: the one that the group's offsets know of; a new one would take the place of the
            one before this.
    """

    schedule: Schedule
    pointer: Pointer | None
    committed: Pointer | None


class SnapshotKeeper:
    """Writes the windows of a worker's partitions down, one after another.

    Args:
        partitions: how many the snapshot topic has.
        group: the worker's group.
        transactional_id: of the worker; snapshots have one of their own.
        transaction_ms: how long its transactions may take; one of a snapshot may take as much more
            as its size needs.
        member: what the consumer says of its membership.
        observe: told of each snapshot.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: SnapshotSettings,
        *,
        topic: str,
        partitions: int,
        group: str,
        transactional_id: str,
        transaction_ms: int,
        member: Callable[[], Any],
        observe: Observe,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._group = group
        self._transactional_id = f"{transactional_id}-snapshots"
        self._transaction_ms = transaction_ms
        self._member = member
        self._writer = SnapshotWriter(topic, partitions, settings.max_bytes_per_second, observe)
        self._kept: dict[PartitionId, _Kept] = {}
        self._writing: _Kept | None = None

    def begin(self, place: PartitionId, pointer: Pointer | None, restored: int) -> None:
        """A partition's state is complete.

        Args:
            pointer: the snapshot that the group's offsets know of.
            restored: how much of the state that snapshot does not hold.
        """
        self._kept[place] = _Kept(Schedule(self._settings), pointer, pointer)
        self._kept[place].schedule.note_events(restored)

    def forget(self, place: PartitionId) -> None:
        """A partition is gone, or its state is made anew."""
        kept = self._kept.pop(place, None)
        if kept is not None and kept is self._writing:
            self._writer.give_up()

    def pointer(self, place: PartitionId) -> Pointer | None:
        """What commits of this partition have to carry."""
        kept = self._kept.get(place)
        return kept.pointer if kept is not None else None

    def note_committed(self, place: PartitionId, pointer: Pointer | None, rows: int) -> None:
        """So many rows of a partition are committed, with this pointer."""
        kept = self._kept.get(place)
        if kept is not None:
            kept.committed = pointer
            kept.schedule.note_events(rows)

    def write_one(self, tasks: Mapping[PartitionId, StageTask]) -> None:
        """Begin with a snapshot that is due, if none is being written.

        Args:
            tasks: all of ours; nothing that they took may be in flight.
        """
        ended, pointer = self._writer.finished()
        if ended and self._writing is not None:
            if pointer is not None:
                self._writing.pointer = pointer
            else:
                self._writing.schedule.note_failure()
            self._writing = None
        if self._writer.busy or not self._settings.enabled:
            return
        due = {
            place: kept
            for place, kept in self._kept.items()
            if kept.schedule.due and kept.pointer == kept.committed and tasks[place].ready
        }
        if due:
            self._write(min(due, key=lambda place: due[place].schedule.since), tasks)

    def close(self) -> None:
        """Give up a snapshot that is being written."""
        self._writer.close()

    def _write(self, place: PartitionId, tasks: Mapping[PartitionId, StageTask]) -> None:
        stateful, kept = tasks[place].stateful, self._kept[place]
        assert stateful is not None, "only what has windows is kept"
        assert stateful.settled is not None, "nothing is due before something was committed"
        kept.schedule.restart()
        writing_ms = 2_000 * tasks[place].nbytes // self._settings.max_bytes_per_second
        timeout_ms = self._transaction_ms + writing_ms
        member = self._member()
        self._writing = kept
        self._writer.begin(
            owner_of(self._group, place),
            kept.pointer.sequence + 1 if kept.pointer is not None else 1,
            stateful.dump,
            [Position(*place, stateful.settled.offset)],
            lambda: MemberSender(self._kafka, self._transactional_id, timeout_ms, member),
            timeout_ms / 1_000 + _PATIENCE_S,
        )
