"""How the exactly-once loop joins its group and cuts its work."""

from typing import Literal

from pydantic import Field

from streams.base.section import Duration, Name, WorkerSection

_MAX_HEARTBEAT_MS = 3_000
_SPARE_MS = 10_000


class LoopSettings(WorkerSection):
    """The ``[loop]`` section.

    Attributes:
        topology: ``fused``, or ``staged``; see docs/topology.md.
        group: consumer group; also the base of the transactional id.
        worker: staged scorers may be several at a time.
        group_protocol: ``classic``, or ``consumer`` for the protocol of KIP-848, which brokers
            speak from Kafka 4.0; there the group's own settings on the broker take the place of
            `session_timeout`.
        max_batch: largest number of records in one transaction.
        max_wait: how long a record waits for others to share its transaction, where there are
            fewer than `max_batch`: more events/s for the price of latency. By default none waits:
            what comes while a transaction is on its way shares the next.
        max_queued: a partition with this many records waiting is read no further for a while; nor,
            in ``staged``, is one of which as many rows wait between the stages.
        transaction_timeout: after this the cluster aborts a transaction that is still open.
        session_timeout: after this the group takes a silent member's partitions away.
    """

    topology: Literal["fused", "staged"] = "fused"
    group: Name = "weir-scorer"
    group_protocol: Literal["classic", "consumer"] = "classic"
    max_batch: int = Field(default=10_000, ge=1)
    max_wait: Duration = 0
    max_queued: int = Field(default=50_000, ge=1)
    transaction_timeout: Duration = 30_000
    session_timeout: Duration = 10_000

    def member(self) -> dict[str, str | int]:
        """How a consumer joins the group, for `KafkaSettings.consumer_config`."""
        member: dict[str, str | int] = {"group_id": self.group}
        if self.topology == "staged":
            # A rebalance waits this long for a member that does not come; the default of five
            # minutes is for those that do their work between two polls.
            longest = max(self.session_timeout, self.transaction_timeout)
            member["max_poll_interval_ms"] = longest + _SPARE_MS
        if self.group_protocol == "consumer":
            return member | {"group_protocol": "consumer"}
        return member | {
            "partition_assignment_strategy": "cooperative-sticky",
            "session_timeout_ms": self.session_timeout,
            "heartbeat_interval_ms": min(_MAX_HEARTBEAT_MS, self.session_timeout // 3),
        }

    def transactional_id(self) -> str:
        """Under which this process commits.

        A staged worker that comes again under the same id ends at once what it left open; others
        wait for its transaction to time out.
        """
        if self.topology == "fused":
            return f"{self.group}-fused"
        return f"{self.group}-staged-{self.worker_name}"
