"""How often state is written down, and what to do where its past is gone."""

from typing import Literal

from pydantic import Field

from streams.base.section import Duration, Section


class SnapshotSettings(Section):
    """The ``[snapshots]`` section.

    Attributes:
        enabled: without snapshots, every start reads all retained input.
        every_events: a snapshot is due after so many events, ...
        every: ... or after so much time, whichever comes first; never without new events.
        max_bytes_per_second: how fast one is written, so that it does not crowd out the answers.
        on_missing_history: what a start does when input that its windows need has expired:
            ``fail`` with an error that says what is missing, or ``warn`` and go on without it.
    """

    enabled: bool = True
    every_events: int = Field(default=500_000, ge=1)
    every: Duration = 60_000
    max_bytes_per_second: int = Field(default=50_000_000, ge=100_000)
    on_missing_history: Literal["fail", "warn"] = "fail"

    @property
    def tolerant(self) -> bool:
        """Whether a start goes on, with a warning, without input that is gone."""
        return self.on_missing_history == "warn"
