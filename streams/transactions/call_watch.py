"""Telling a call of Kafka's client that hangs from one that waits for the cluster."""

from math import inf
from time import monotonic

from streams.kafka.cluster_watch import ClusterWatch

OVERDUE_S = 5.0
"""By how much a call may outlive the time that it was given."""

_OVERDUE_AFTER_LOSS_S = 5.0


class CallWatch:
    """Knows for how long the calls of a transaction are worth waiting for.

    Args:
        timeout_s: how long a transaction may take.
        watch: knows whether the cluster is away.

    Attributes:
        patience_s: how long one is waited for where no connection was lost.
    """

    def __init__(self, timeout_s: float, watch: ClusterWatch) -> None:
        self._timeout_s = timeout_s
        self._watch = watch
        self._begun_at = inf
        self._sound_at = monotonic()
        self.patience_s = timeout_s / 2 + OVERDUE_S

    def begun(self) -> None:
        """A transaction begins."""
        self._begun_at = monotonic()

    def sound(self) -> None:
        """Connections work, or are new: those that were lost before count no more."""
        self._sound_at = monotonic()

    def overdue_s(self) -> float | None:
        """For how many seconds a call did not come back though it should have; None if it may.

        The client forgets the timeout that it was given where a connection breaks in the midst of
        sending offsets (librdkafka issue 5456), so where one was lost there is less to hope for.
        """
        if self._watch.away:
            return None
        waited_s = monotonic() - max(self._begun_at, self._watch.lost_at)
        patience_s = self.patience_s
        if self._watch.lost_at > self._sound_at:
            patience_s = min(patience_s, _OVERDUE_AFTER_LOSS_S)
        return round(waited_s, 1) if waited_s > patience_s else None

    @property
    def outlived(self) -> bool:
        """Whether the transaction took longer than it may, though the cluster was there."""
        took_s = monotonic() - self._begun_at
        return took_s >= self._timeout_s and self._watch.lost_at < self._sound_at
