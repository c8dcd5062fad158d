"""When the next snapshot of some state is due."""

from time import monotonic

from streams.snapshots.settings import SnapshotSettings


class Schedule:
    """Due after so many events, or so much time, and never without events.

    Attributes:
        since: when the last one was begun, by the clock of `time.monotonic`.
    """

    def __init__(self, settings: SnapshotSettings) -> None:
        self._settings = settings
        self._events = 0
        self.since = monotonic()

    def note_events(self, count: int) -> None:
        """Count what has changed the state since the last snapshot."""
        self._events += count

    @property
    def due(self) -> bool:
        """Whether it is time for a snapshot."""
        late = monotonic() >= self.since + self._settings.every / 1_000
        return self._events > 0 and (late or self._events >= self._settings.every_events)

    def restart(self) -> None:
        """Count anew: one was begun."""
        self._events = 0
        self.since = monotonic()

    def note_failure(self) -> None:
        """The last one came to nothing: the next is due in time, even without more events."""
        self._events = max(self._events, 1)
