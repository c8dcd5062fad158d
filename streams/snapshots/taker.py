"""Snapshots of one state that is all of a group's, now and then."""

from collections.abc import Callable, Sequence

from streams.intake.position import Position
from streams.kafka.client import KafkaSettings
from streams.snapshots.parts import Buffer
from streams.snapshots.pointer import Pointer
from streams.snapshots.schedule import Schedule
from streams.snapshots.senders import PlainSender
from streams.snapshots.settings import SnapshotSettings
from streams.snapshots.writer import Observe, SnapshotWriter, observe_nothing

_TIMEOUT_S = 30


class SnapshotTaker:
    """Writes one snapshot at a time.

    Args:
        group: consumer group whose state it is.
        observe: told of each snapshot.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        settings: SnapshotSettings,
        topic: str,
        group: str,
        observe: Observe = observe_nothing,
    ) -> None:
        self._group = group
        self._sender = PlainSender(kafka)
        known = self._sender.producer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
        self._writer = SnapshotWriter(
            topic, len(known.partitions), settings.max_bytes_per_second, observe
        )
        self._sequence = 0
        self._schedule = Schedule(settings)

    def start_from(self, pointer: Pointer | None) -> None:
        """Go on after the snapshot that was found at the start."""
        self._sequence = pointer.sequence if pointer else 0
        self._writer.give_up()

    def note_events(self, count: int) -> None:
        """Count what has changed the state since the last snapshot."""
        self._schedule.note_events(count)

    @property
    def due(self) -> bool:
        """Whether it is time for a snapshot, and none is being written."""
        return not self._writer.busy and self._schedule.due

    def take(self, dump: Callable[[], Sequence[Buffer]], positions: list[Position]) -> None:
        """Fix the state of this moment, and write it while the stream goes on.

        Args:
            dump: gives the state's contents; called in a copy of this process.
            positions: the committed positions that the state belongs to.
        """
        self._schedule.restart()
        self._writer.begin(self._group, self._sequence + 1, dump, positions, lambda: self._sender)

    def finished(self) -> Pointer | None:
        """The snapshot that was completed since the last call; commits should carry it from now."""
        ended, pointer = self._writer.finished()
        if pointer is not None:
            self._sequence = pointer.sequence
        elif ended:
            self._schedule.note_failure()
        return pointer

    def close(self) -> None:
        """Give up a snapshot that is being written."""
        self._writer.close()
