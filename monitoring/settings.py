"""The ``[monitor]`` section."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

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
        promotion_span: event time from a model's first event on that is a reference, too, beside
            that of its package: whole weeks where hours of the week matter; none if ``0s``.
        segments: up to three fields of `feature_log.include` whose values are watched by
            themselves, such as ``country``; they are compared with their own first days, so
            `promotion_span` is needed.
        segment_values: of each of these, those that come most; the rest is one segment.
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
    promotion_span: Duration = Field(default=0, ge=0)
    segments: tuple[Name, ...] = Field(default=(), max_length=3)
    segment_values: int = Field(default=8, ge=1, le=24)
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

    @model_validator(mode="after")
    def _segments_have_first_days(self) -> "MonitorSettings":
        if self.segments and not self.promotion_span:
            raise ValueError(
                "segments are compared with their own first days: set promotion_span, such as '7d'"
            )
        if len(set(self.segments)) < len(self.segments):
            raise ValueError("segments names a field twice: write each once")
        return self
