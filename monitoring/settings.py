"""The ``[monitor]`` section."""

from typing import Annotated

from pydantic import Field, field_validator

from streams.base.section import Duration, Name, WorkerSection

_HOUR_MS = 3_600_000


class MonitorSettings(WorkerSection):
    """The ``[monitor]`` section: `weir monitor`, which watches the stream for drift.

    Attributes:
        group: consumer group of the monitor's workers; also the base of their transactional ids.
        interval: events are counted by cells of event time of this length, and looked at when one
            is over; it has to divide an hour.
        lateness: a partition to which nothing has come for so much event time does not hold up the
            others; what comes to it later counts where these are.
        delta: a PSI, or a chi-squared distance, that does not matter.
        arl: mean time between false alarms of a model, over all its features together.
        producer: the field of `feature_log.include` that says who sent an event, such as
            ``header:app-version``; none if empty.
        bounds: of features, or of numbers among `feature_log.include`, the bounds that somebody may
            want to stay just below, such as ``amount = [220]``. Those of the policy are known.
        niceness: how far it stands back for others that want the processors, 0 ... 19.
        session_timeout: after this the group takes a silent member's partitions away.
        transaction_timeout: after this the cluster aborts a transaction that is still open.
    """

    group: Name = "weir-monitor"
    interval: Duration = Field(default=60_000, gt=0)
    lateness: Duration = Field(default=600_000, ge=0)
    delta: float = Field(default=0.02, gt=0, lt=1)
    arl: Duration = Field(default=90 * 86_400_000, gt=0)
    producer: str = ""
    bounds: dict[str, tuple[Annotated[float, Field(gt=0)], ...]] = Field(default_factory=dict)
    niceness: int = Field(default=15, ge=0, le=19)
    session_timeout: Duration = Field(default=10_000, gt=0)
    transaction_timeout: Duration = Field(default=30_000, gt=0)

    @field_validator("interval")
    @classmethod
    def _divides_an_hour(cls, interval: int) -> int:
        if _HOUR_MS % interval:
            raise ValueError("write a duration that divides an hour, such as '1m' or '5m'")
        return interval
