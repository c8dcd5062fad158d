"""A line in the log, once in a while, where something is forgotten because there is too much."""

import logging
from collections.abc import Callable, Mapping
from time import monotonic

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN = 600.0


class LimitWarnings:
    """Says what was forgotten for want of room, at most once in ten minutes for each limit."""

    def __init__(self, clock_s: Callable[[], float] = monotonic) -> None:
        self._clock_s = clock_s
        self._said: dict[str, tuple[int, float]] = {}

    def look(
        self, setting: str, most: int, what: str, forgotten: Mapping[str, int], effect: str
    ) -> None:
        """Warn if more was forgotten than when this was last said.

        Args:
            setting, most: the limit.
            what: is forgotten.
            forgotten: how many so far, by entity or the like.
            effect: what comes of it, a sentence without its full stop.
        """
        total = sum(forgotten.values())
        before, said_at = self._said.get(setting, (0, -_SECONDS_BETWEEN))
        if total < before:
            self._said[setting] = (total, said_at)  # a batch was taken back
        elif total > before and self._clock_s() - said_at >= _SECONDS_BETWEEN:
            self._said[setting] = (total, self._clock_s())
            logger.warning(
                "%s were forgotten, since there are more than %s (%d): %s so far. %s. Set it "
                "higher if memory allows, and see who sends so many",
                what,
                setting,
                most,
                ", ".join(f"{count} of {name}" for name, count in forgotten.items() if count),
                effect,
            )
