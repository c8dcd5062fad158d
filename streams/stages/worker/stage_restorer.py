"""Bringing a partition's task to what was committed for it: from its snapshot, or from its log."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from time import monotonic

from streams.kafka.client import KafkaSettings
from streams.kafka.partition import PartitionId
from streams.loop.fused.restorer import MissingHistoryError, complain_of_missing_history
from streams.loop.fused.task import StateMismatchError
from streams.snapshots import Pointer, SnapshotGoneError, SnapshotSettings, read_snapshot
from streams.stages.common.stateful_stage import StatefulStage
from streams.stages.common.step import StagePosition
from streams.stages.common.task import StageTask
from streams.stages.worker.snapshot_keeper import owner_of

logger = logging.getLogger(__name__)


@dataclass
class Restoring:
    """A task on its way to the committed position.

    Attributes:
        first: the first offset of the partition that has not expired.
        next_offset: where its partition has to be read from; set once snapshot and position are
            taken up.
        snapshot_at: the position's offset in the snapshot; None without one.
    """

    place: PartitionId
    task: StageTask
    position: StagePosition | None
    pointer: Pointer | None
    first: int
    started: float = field(default_factory=monotonic)
    next_offset: "Future[int]" = field(default_factory=Future)
    snapshot_at: int | None = None


class StageRestorer:
    """Restores tasks, one after another, in a thread where a snapshot is to be loaded.

    Args:
        topic: of the snapshots.
        group: whose they are.
        note_restored: told how many events were taken into windows again.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: SnapshotSettings,
        topic: str,
        group: str,
        note_restored: Callable[[int], None],
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._topic = topic
        self._group = group
        self._note_restored = note_restored
        self._queue: SimpleQueue[Restoring | None] = SimpleQueue()
        self._thread: Thread | None = None

    def start(
        self,
        place: PartitionId,
        task: StageTask,
        position: StagePosition | None,
        pointer: Pointer | None,
        first: int,
    ) -> Restoring:
        """Begin a task at a committed position; `first` is that of the partition.

        Raises:
            MissingHistoryError: records expired before they were answered.
            MessageError: the position is not of this stage.
        """
        if position is not None and position.offset < first:
            # Nobody could answer what waits for these: no warning is enough.
            raise MissingHistoryError(
                f"records expired before they were answered: {first - position.offset} of "
                f"{place[0]}[{place[1]}]. Set a longer retention.ms on this topic; for topics "
                "between the stages, stop all workers and start them with a new stages.prefix"
            )
        restoring = Restoring(place, task, position, pointer, first)
        if pointer is not None and task.stateful is not None and self._settings.enabled:
            if self._thread is None:
                self._thread = Thread(target=self._work, name="restorer", daemon=True)
                self._thread.start()
            self._queue.put(restoring)
        else:
            restoring.next_offset.set_result(self._begin(restoring))
        return restoring

    def complete(self, restoring: Restoring) -> None:
        """A task's state is complete: say so.

        Raises:
            MissingHistoryError: what its windows look back on has expired, and the settings say
                `fail`.
        """
        stateful = restoring.task.stateful
        if stateful is None:
            return
        self._check_history(restoring, stateful)
        self._note_restored(stateful.restored)
        logger.info(
            "%s[%d] restored in %.1f s: %s, %d events read again",
            *restoring.place,
            monotonic() - restoring.started,
            "no snapshot" if restoring.snapshot_at is None else "from a snapshot",
            stateful.restored,
        )

    def close(self) -> None:
        """Take up no more snapshots."""
        self._queue.put(None)

    def _work(self) -> None:
        while (restoring := self._queue.get()) is not None:
            try:
                restoring.next_offset.set_result(self._begin(restoring))
            except BaseException as error:
                restoring.next_offset.set_exception(error)

    def _begin(self, restoring: Restoring) -> int:
        position, stateful = restoring.position, restoring.task.stateful
        if stateful is None:
            restoring.task.begin(position)
        else:
            self._load(restoring, stateful)
        return max(restoring.first, restoring.task.next_offset)

    def _load(self, restoring: Restoring, stateful: StatefulStage) -> None:
        place, pointer = restoring.place, restoring.pointer
        if pointer is not None and self._settings.enabled:
            try:
                config, owner = self._kafka.consumer_config(), owner_of(self._group, place)
                snapshot = read_snapshot(config, self._topic, pointer, owner)
                stateful.begin(restoring.position, snapshot.buffers)
                restoring.snapshot_at = stateful.next_offset
                return
            except (SnapshotGoneError, StateMismatchError) as error:
                logger.warning(
                    "ignoring the last snapshot of %s[%d] (%s): rebuilding from the whole topic",
                    *place,
                    error,
                )
        stateful.begin(restoring.position)

    def _check_history(self, restoring: Restoring, stateful: StatefulStage) -> None:
        """Complain if what the windows still look back on was not there to be read."""
        first, began = restoring.first, stateful.began_at
        if restoring.position is None:
            return
        if restoring.snapshot_at is not None:
            gap = restoring.snapshot_at < first
        else:
            gap = first > 0 and (began is None or began > stateful.reached - stateful.memory_ms)
        if not gap:
            return
        topic, partition = restoring.place
        complain_of_missing_history(
            self._settings,
            f"what windows (or event.deduplicate) look back on has expired: {topic}[{partition}] "
            f"before offset {first}",
        )
