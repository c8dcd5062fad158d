"""A share that is watched for ever: its past, and the events since it may have risen."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from monitoring.breakage.shares import SURE, evidence_above, limit_above

Pairs = dict[str, tuple[int, int]]
"""By producer, events of the kind that is counted, and all events."""
_SPANS = 3
"""What comes at once is a burst of one sender's; what lasts comes in so many spans of time."""
_LONG = 5_000_000
"""Events of the past, beyond which half of it is forgotten."""
_MOST_PRODUCERS = 64


@dataclass(frozen=True)
class Rule:
    """When a share has risen.

    Attributes:
        times, least: see `limit_above`.
        past: events that have to be known before anything is said.
        calm_ms: the share has to be ordinary for so long before it is over.
    """

    times: float
    least: float
    past: int
    calm_ms: int


class Share(msgspec.Struct):
    """What is known of one share.

    Attributes:
        past: events of the kind, and all, while nothing seemed to happen.
        since: when it may have begun to rise, ms; `now` what came since, in `spans` of time.
        found: whether it has risen.
        calm_since, calm: since when it may be over, and what came since.
    """

    past: tuple[int, int] = (0, 0)
    since: int = 0
    now: Pairs = {}
    spans: int = 0
    found: bool = False
    calm_since: int = 0
    calm: tuple[int, int] = (0, 0)

    @property
    def total(self) -> tuple[int, int]:
        """Of `now`, over all producers."""
        return _sum(self.now)

    def evidence(self, rule: Rule) -> float:
        """Ln E that the share since is above what is still ordinary."""
        return evidence_above(*self.total, self._limit(rule))

    def take(self, rule: Rule, came: Mapping[str, tuple[int, int]], start: int, end: int) -> None:
        """Take in what came in a span of time, ms; `found` says what that has changed."""
        yes, total = _sum(came)
        if not self.now:
            self.since = start
        for name, (own, all_of_it) in came.items():
            place = name if name in self.now or len(self.now) < _MOST_PRODUCERS else ""
            before = self.now.get(place, (0, 0))
            self.now[place] = before[0] + own, before[1] + all_of_it
        self.spans += yes > 0
        limit = self._limit(rule)
        if self.found:
            self.calm = self.calm[0] + yes, self.calm[1] + total
            if self.calm[0] > limit * self.calm[1]:
                self.calm_since, self.calm = end, (0, 0)
            elif end - self.calm_since >= rule.calm_ms:
                self.begin_anew(self.calm)
            return
        now = self.total
        if now[0] <= limit * now[1] or self.past[1] < rule.past:
            self.begin_anew(now)
        elif self.spans >= _SPANS and evidence_above(*now, limit) >= SURE:
            self.found, self.calm_since, self.calm = True, end, (0, 0)

    def begin_anew(self, usual: tuple[int, int]) -> None:
        """Nothing is happening any more; these counts are of what is usual."""
        yes, total = self.past[0] + usual[0], self.past[1] + usual[1]
        self.past = (yes // 2, total // 2) if total > _LONG else (yes, total)
        self.now, self.spans, self.found = {}, 0, False

    def _limit(self, rule: Rule) -> float:
        if not self.past[1]:
            return rule.least
        return limit_above(*self.past, times=rule.times, least=rule.least)


def _sum(pairs: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    return sum(yes for yes, _ in pairs.values()), sum(total for _, total in pairs.values())
