"""Rebuilding state at the committed offsets C: load a snapshot taken at S, then read ``[S, C)``."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.base.errors import HISTORY_MISSING, WRONG_USE, WeirError
from streams.intake.history import read_history
from streams.intake.intake import Intake
from streams.intake.position import NO_TIME, Position
from streams.kafka.client import KafkaSettings, watermarks
from streams.kafka.partition import PartitionId
from streams.loop.fused.task import StateMismatchError, Task
from streams.snapshots import (
    Pointer,
    Snapshot,
    SnapshotGoneError,
    SnapshotSettings,
    newest_pointer,
    read_snapshot,
)

logger = logging.getLogger(__name__)


class MissingHistoryError(WeirError):
    """Input that the state needs has expired."""

    exit_code = HISTORY_MISSING


class ForeignOffsetsError(WeirError):
    """The group's offsets were committed by something else than such a scorer."""

    exit_code = WRONG_USE


class Restorer:
    """Brings a task's state to where a group's committed offsets are.

    Args:
        snapshot_topic: where snapshots are.
        group: whose they are.
        new_intake: makes an empty intake, to read history through.
        go_on: asked again and again; False ends the work early.

    Attributes:
        pointer: the newest snapshot that the committed offsets know, usable or not.
        restored: events that were read again.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: SnapshotSettings,
        *,
        snapshot_topic: str,
        group: str,
        new_intake: Callable[[], Intake],
        task: Task,
        go_on: Callable[[], bool],
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._topic = snapshot_topic
        self._group = group
        self._new_intake = new_intake
        self._task = task
        self._go_on = go_on
        self.pointer: Pointer | None = None
        self.restored = 0

    def restore(self, committed: Sequence[TopicPartition]) -> list[Position] | None:
        """Restore the state; ``committed`` is what the group has committed, with its metadata.

        Returns where to go on, or None if the work was ended early.

        Raises:
            MissingHistoryError: input that the windows need is gone, and the settings say `fail`.
            ForeignOffsetsError: a staged scorer, or somebody else, committed the offsets.
            KafkaException: the cluster failed.
        """
        start = monotonic()
        lows = self._first_offsets(committed)
        ends = {}
        for each in committed:
            if each.error is not None:
                raise KafkaException(each.error)
            place = (each.topic, each.partition)
            ends[place] = each.offset if each.offset >= 0 else lows[place]
            if each.metadata and Pointer.parse(each.metadata) is None:
                raise ForeignOffsetsError(
                    f"the group's committed offset of {each.topic}[{each.partition}] is not that "
                    "of a fused scorer: give this scorer another loop.group, or set loop.topology "
                    "to what it was"
                )
        self._refuse_unanswered_loss(ends, lows)
        ends = {place: max(end, lows[place]) for place, end in ends.items()}
        self.pointer = newest_pointer(each.metadata for each in committed)
        snapshot = self._load_snapshot(ends)
        known = snapshot.positions if snapshot is not None else {}
        begins = [known.get(place) or Position(*place, low) for place, low in lows.items()]
        intake = self._new_intake()
        history = read_history(
            self._kafka.consumer_config(), intake, begins, ends, go_on=self._go_on
        )
        with closing(history):
            for work in history:
                self._task.restore(work)
                self.restored += len(work.events)
                if not self._go_on():
                    return None
        if not self._go_on():
            return None
        answered = [each for each in committed if each.offset >= 0]
        self._check_history(answered, known, lows, intake)
        logger.info(
            "state at %s restored in %.1f s: %s, %d events read again",
            ", ".join(f"{topic}[{p}]:{offset}" for (topic, p), offset in sorted(ends.items())),
            monotonic() - start,
            "no snapshot" if snapshot is None else "from a snapshot",
            self.restored,
        )
        reached = {each.place: each.reached for each in intake.checkpoint()}
        return [Position(*place, offset, reached[place]) for place, offset in ends.items()]

    def _first_offsets(self, committed: Sequence[TopicPartition]) -> dict[PartitionId, int]:
        consumer: Any = Consumer(self._kafka.consumer_config(group_id="weir-history"))
        try:
            return {
                (each.topic, each.partition): watermarks(consumer, each)[0] for each in committed
            }
        finally:
            consumer.close()

    def _load_snapshot(self, ends: Mapping[PartitionId, int]) -> Snapshot | None:
        """Take up what snapshot there is; without one the state is empty."""
        self._task.reset()
        snapshot = self._snapshot(ends)
        if snapshot is None:
            return None
        try:
            self._task.load(snapshot.buffers)
        except StateMismatchError as error:
            logger.warning("ignoring the last snapshot (%s): rebuilding from the topics", error)
            return None
        return snapshot

    def _snapshot(self, ends: Mapping[PartitionId, int]) -> Snapshot | None:
        if self.pointer is None or not self._settings.enabled:
            return None
        try:
            snapshot = read_snapshot(
                self._kafka.consumer_config(), self._topic, self.pointer, self._group
            )
        except SnapshotGoneError as error:
            logger.warning("ignoring the last snapshot (%s): rebuilding from the topics", error)
            return None
        strange = snapshot.positions.keys() - ends.keys()
        ahead = [
            place
            for place, position in snapshot.positions.items()
            if place in ends and position.offset > ends[place]
        ]
        if strange or ahead:
            # Someone has set the group's offsets back, or the group reads other topics now.
            logger.warning(
                "ignoring the last snapshot (it is ahead of the committed offsets, or of other "
                "partitions): rebuilding from the topics"
            )
            return None
        return snapshot

    def _refuse_unanswered_loss(
        self, ends: Mapping[PartitionId, int], lows: Mapping[PartitionId, int]
    ) -> None:
        lost = {place: lows[place] - end for place, end in ends.items() if end < lows[place]}
        if lost:
            complain_of_missing_history(
                self._settings,
                "records expired before they were answered: "
                + ", ".join(f"{count} of {t}[{p}]" for (t, p), count in sorted(lost.items())),
            )

    def _check_history(
        self,
        answered: Sequence[TopicPartition],
        known: Mapping[PartitionId, Position],
        lows: Mapping[PartitionId, int],
        intake: Intake,
    ) -> None:
        """Complain if input that the windows still look back on was not there to be read."""
        now = max((each.reached for each in intake.checkpoint()), default=NO_TIME)
        missing = []
        for place in ((each.topic, each.partition) for each in answered):
            low, began = lows[place], intake.began_at(*place)
            if place in known:
                gap = known[place].offset < low
            else:
                gap = low > 0 and (began is None or began > now - self._task.memory_ms)
            if gap:
                missing.append(f"{place[0]}[{place[1]}] before offset {low}")
        if missing:
            complain_of_missing_history(
                self._settings,
                "input that windows (or event.deduplicate) look back on has expired: "
                + ", ".join(sorted(missing)),
            )


def complain_of_missing_history(settings: SnapshotSettings, what: str) -> None:
    """Say what is missing, and go on only if the settings want it so.

    Raises:
        MissingHistoryError: they do not.
    """
    if not settings.tolerant:
        raise MissingHistoryError(
            f"{what}. Set a longer retention.ms on these topics; to go on without, with "
            "windows that are too small at first, start with `--on-missing-history warn`"
        )
    logger.warning(
        "%s; going on without it, with windows that are too small at first "
        "(snapshots.on_missing_history is warn)",
        what,
    )
