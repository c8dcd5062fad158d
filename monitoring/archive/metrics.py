"""What `weir archive` says of itself."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitoring.archive.table import TABLES
from streams.base.counted import counter_by
from streams.events.rejection import Reason
from streams.kafka.lag_metric import LagCollector
from streams.kafka.partition import PartitionId

TIDYING = ("compacted", "expired", "erased", "vacuumed")


class ArchiveMetrics:
    """All of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = counter_by(
            "kind", TABLES, "weir_archive_rows", "Rows archived, by table", registry
        )
        self.rejected = counter_by(
            "reason", Reason, "weir_dead_letters", "Records rejected, by reason", registry
        )
        self.lost = Counter(
            "weir_archive_lost_records",
            "Records that expired in Kafka before they were archived",
            registry=registry,
        )
        self.up = Gauge(
            "weir_archive_up",
            "0 while the archive's folder or object store takes no rows",
            registry=registry,
        )
        self.up.set(1)  # until it is known better
        self.seconds = Histogram(
            "weir_archive_commit_seconds",
            "Time of one commit to a table",
            unit="seconds",
            registry=registry,
        )
        self.tidied = counter_by(
            "outcome",
            TIDYING,
            "weir_archive_tidied",
            "Rows deleted, and files merged or let go of",
            registry,
        )
        self.lag: Mapping[PartitionId, int] = {}
        registry.register(LagCollector("Records not archived yet", lambda: self.lag))
