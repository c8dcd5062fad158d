"""How far a partition was taken."""

import msgspec
import numpy as np

NO_TIME = int(np.iinfo(np.int64).min)
"""Before all event times."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """How far one partition is contained in some state.

    Attributes:
        offset: of the first record that is not.
        reached: event time (ms) before which no later record of the partition queues; see
            `streams.intake.time_merge.PartitionQueue`.
    """

    topic: str
    partition: int
    offset: int
    reached: int = NO_TIME

    @property
    def place(self) -> tuple[str, int]:
        """Topic and partition."""
        return self.topic, self.partition
