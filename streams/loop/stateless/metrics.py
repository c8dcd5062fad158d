"""What a loop says of its transactions, its dead letters and its lag."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry

from streams.base.counted import counter_by
from streams.events.rejection import Reason
from streams.kafka.lag_metric import LagCollector
from streams.kafka.partition import PartitionId


class LoopMetrics:
    """What all loops say of themselves; each task adds its own.

    Attributes:
        lag: asked for when Prometheus asks.

    Args:
        behind: which records are its lag, for people.
    """

    def __init__(self, registry: CollectorRegistry, behind: str) -> None:
        self._dead_letters = counter_by(
            "reason", Reason, "weir_dead_letters", "Records rejected, by reason", registry
        )
        self._transactions = counter_by(
            "outcome",
            ("committed", "aborted"),
            "weir_transactions",
            "Transactions by outcome",
            registry,
        )
        self.lag: Callable[[], Mapping[PartitionId, int]] = dict
        registry.register(LagCollector(behind, lambda: self.lag()))

    def count_committed(self) -> None:
        """Count a transaction."""
        self._transactions.labels("committed").inc()

    def count_aborted(self, _reason: str) -> None:
        """Count a transaction of which nothing is seen."""
        self._transactions.labels("aborted").inc()

    def count_rejected(self, reason: Reason) -> None:
        """Count a dead letter."""
        self._dead_letters.labels(reason.value).inc()
