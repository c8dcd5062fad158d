"""How the exactly-once loop joins its group and cuts its work."""

from typing import Literal

from pydantic import Field

from streams.section import Duration, Section

_MAX_HEARTBEAT_MS = 3_000


class LoopSettings(Section):
    """The ``[loop]`` section.

    Attributes:
        group: consumer group; also the base of the transactional id.
        group_protocol: ``classic``, or ``consumer`` for the protocol of KIP-848, which brokers
            speak from Kafka 4.0; there the group's own settings on the broker take the place of
            `session_timeout`.
        max_batch: largest number of records in one transaction.
        max_queued: a partition with this many records waiting is read no further for a while.
        transaction_timeout: after this the cluster aborts a transaction that is still open.
        session_timeout: after this the group takes a silent member's partitions away.
    """

    group: str = "weir-scorer"
    group_protocol: Literal["classic", "consumer"] = "classic"
    max_batch: int = Field(default=2_000, ge=1)
    max_queued: int = Field(default=50_000, ge=1)
    transaction_timeout: Duration = 30_000
    session_timeout: Duration = 10_000

    def member(self) -> dict[str, str | int]:
        """How a consumer joins the group, for `KafkaSettings.consumer_config`."""
        member: dict[str, str | int] = {"group_id": self.group}
        if self.group_protocol == "consumer":
            return member | {"group_protocol": "consumer"}
        return member | {
            "partition_assignment_strategy": "cooperative-sticky",
            "session_timeout_ms": self.session_timeout,
            "heartbeat_interval_ms": min(_MAX_HEARTBEAT_MS, self.session_timeout // 3),
        }
