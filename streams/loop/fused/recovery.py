"""Back to the committed offsets after a failure: by rewinding the state, or by rebuilding it."""

import logging
from collections.abc import Callable
from enum import IntEnum
from time import monotonic

from confluent_kafka import KafkaException

from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.kafka.cluster_watch import passes
from streams.loop.fused.state_snapshots import StateSnapshots
from streams.loop.fused.task import Task
from streams.loop.group_member import GroupMember
from streams.loop.growth import Growth
from streams.loop.position_check import Believed

logger = logging.getLogger(__name__)


class Due(IntEnum):
    """What has to be done before new work; the larger includes the smaller."""

    NOTHING = 0
    REWIND = 1
    REBUILD = 2


class Recovery:
    """Brings a task's state, which is all of a group's, to what the group has committed.

    Args:
        snapshots: what the state is rebuilt from.
        new_intake: makes an empty intake, to read history through.
        believed: see `PositionCheck`.
        go_on_from: told where reading goes on once the state is what it is there.

    Attributes:
        due: what has to be done; until that is nothing, no work may be taken.
    """

    def __init__(
        self,
        *,
        member: GroupMember,
        growth: Growth,
        task: Task,
        snapshots: StateSnapshots,
        new_intake: Callable[[], Intake],
        believed: Believed,
        go_on_from: Callable[[list[Position]], None],
    ) -> None:
        self._member = member
        self._growth = growth
        self._task = task
        self._snapshots = snapshots
        self._new_intake = new_intake
        self._believed = believed
        self._go_on_from = go_on_from
        self.due = Due.NOTHING

    def rewind(self) -> None:
        """Take back what is not committed, before new work."""
        self.due = max(self.due, Due.REWIND)

    def rebuild(self) -> None:
        """Restore the state from what is written down, before new work."""
        self.due = Due.REBUILD

    def run(self, ours: list[Position], go_on: Callable[[], bool]) -> bool:
        """Do what is due; whether work can go on.

        Args:
            ours: what we know to be committed.
            go_on: asked again and again while the state is rebuilt; False ends that early.
        """
        due, self.due = self.due, Due.NOTHING
        try:
            if due is Due.REWIND and self._rewind(ours):
                return True
            if self._growth.due and not self._growth.settle():
                return False
            return self._member.owns_everything() and self._rebuild(go_on)
        except KafkaException as error:
            if not passes(error):
                raise
            logger.warning("can't restore the state yet, trying again: %s", error.args[0].str())
            self.due = Due.REBUILD
            return False

    def _rewind(self, ours: list[Position]) -> bool:
        """Take back what was not committed; False if the cluster remembers something else."""
        committed = self._member.committed()
        offsets = {each.place: each.offset for each in ours}
        if any(offsets.get((c.topic, c.partition)) != c.offset for c in committed if c.offset >= 0):
            return False
        self._task.rollback()
        self._go_on_from(ours)
        return True

    def _rebuild(self, go_on: Callable[[], bool]) -> bool:
        """Restore the state; False if that was ended early, also by partitions that come or go."""
        self._member.pause_all()

        def goes_on() -> bool:
            # The group takes the partitions of a member that does not poll for long.
            self._member.poll(0.0)
            return go_on() and not self.due

        restorer = self._snapshots.restored_by(self._new_intake, self._task, goes_on)
        began = monotonic()
        committed = [self._believed(each, began) for each in self._member.committed()]
        positions = restorer.restore(committed)
        self._snapshots.start_from(restorer)
        if positions is None:
            return False
        self._go_on_from(positions)
        return True
