"""Where a loop's state is written down now and then, and comes back from after a start."""

from collections.abc import Callable, Sequence

from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.kafka.client import KafkaSettings
from streams.loop.fused.restorer import Restorer
from streams.loop.fused.task import Task
from streams.snapshots import Pointer, SnapshotSettings, SnapshotTaker
from streams.snapshots.parts import Buffer
from streams.snapshots.writer import Observe


class StateSnapshots:
    """The snapshots of a state that is all of a group's; none are taken where they are disabled.

    Args:
        topic: compacted topic for snapshots.
        observe: see `SnapshotTaker`.

    Attributes:
        pointer: the newest snapshot, usable or not; every commit carries it.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: SnapshotSettings,
        *,
        topic: str,
        group: str,
        observe: Observe,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._topic = topic
        self._group = group
        self._taker: SnapshotTaker | None = None
        if settings.enabled:
            self._taker = SnapshotTaker(
                kafka, settings=settings, topic=topic, group=group, observe=observe
            )
        self.pointer: Pointer | None = None

    def restored_by(
        self, new_intake: Callable[[], Intake], task: Task, go_on: Callable[[], bool]
    ) -> Restorer:
        """What restores a task's state from here; see `Restorer`."""
        return Restorer(
            self._kafka,
            settings=self._settings,
            snapshot_topic=self._topic,
            group=self._group,
            new_intake=new_intake,
            task=task,
            go_on=go_on,
        )

    def start_from(self, restorer: Restorer) -> None:
        """Go on after the snapshot that a restorer has found."""
        self.pointer = restorer.pointer
        if self._taker is not None:
            self._taker.start_from(restorer.pointer)
            self._taker.note_events(restorer.restored)

    def note_events(self, count: int) -> None:
        """Count what has changed the state since the last snapshot."""
        if self._taker is not None:
            self._taker.note_events(count)

    def look(self) -> bool:
        """Take note of a snapshot that is complete; whether it is time for the next one."""
        if self._taker is None:
            return False
        self.pointer = self._taker.finished() or self.pointer
        return self._taker.due

    def take(self, dump: Callable[[], Sequence[Buffer]], positions: list[Position]) -> None:
        """Begin the one that is due; see `SnapshotTaker.take`."""
        assert self._taker is not None, "no snapshot is due where they are disabled"
        self._taker.take(dump, positions)

    def close(self) -> None:
        """Give up a snapshot that is being written."""
        if self._taker is not None:
            self._taker.close()
