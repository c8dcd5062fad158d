"""What a repeat is, as docs/events.md says it: by a list of all that came."""

REMEMBERED, REMEMBERED_MS = "1h", 3_600_000
"""`event.deduplicate` of a campaign with repeats."""


class Repeats:
    """Tells the repeats of one partition, whose events come one after another."""

    def __init__(self) -> None:
        self._clock = -(2**62)
        self._came: dict[int, int] = {}

    def is_one(self, event_id: int, time: int) -> bool:
        """Whether the next event is a repeat."""
        clock = max(self._clock, time)
        if clock - self._came.get(event_id, -(2**62)) <= REMEMBERED_MS:
            return True
        self._clock = self._came[event_id] = clock
        return False
