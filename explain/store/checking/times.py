"""Whether times that were written down one after the other run forwards, and up to now."""

TOLERANCE_MS = 300_000
"""What clocks of several machines may differ by, and a clock may be set back by."""


class TimeLine:
    """Is told the times of rows in their order.

    Args:
        now_ms: of whoever verifies, UTC milliseconds.
    """

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._latest_ms = 0

    def wrong(self, time_ms: int) -> str | None:
        """What is wrong with the next time, if anything is."""
        before_ms, self._latest_ms = self._latest_ms, max(self._latest_ms, time_ms)
        if time_ms > self._now_ms + TOLERANCE_MS:
            return f"its time, {time_ms}, is {(time_ms - self._now_ms) / 1_000:,.0f} s from now"
        if time_ms < before_ms - TOLERANCE_MS:
            return (
                f"its time, {time_ms}, is {(before_ms - time_ms) / 1_000:,.0f} s before {before_ms}"
            )
        return None
