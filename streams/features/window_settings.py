"""The ``[windows]`` section of the settings."""

from pydantic import Field

from streams.base.section import Duration, Section


class WindowSettings(Section):
    """The ``[windows]`` section: how much of the past the feature windows keep.

    Attributes:
        allowed_lateness: an event that comes no later than this after a newer one of its entity
            finds its windows complete.
        max_events_per_entity: beyond this an entity's oldest events go into tiles: sums of
            stretches of time, which answer for them approximately.
        max_entities: beyond so many values of an entity, those whose latest event is the oldest
            are forgotten.
        max_waiting_labels: beyond so many labels whose event has not come, those are forgotten that
            have waited longest.
    """

    allowed_lateness: Duration = 3_600_000
    max_events_per_entity: int = Field(default=65_536, ge=1, le=1 << 22)
    max_entities: int = Field(default=10_000_000, ge=1)
    max_waiting_labels: int = Field(default=1_000_000, ge=1)
