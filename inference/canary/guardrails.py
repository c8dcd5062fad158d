"""Whether an arm does harm: detectors over what scorers report and what the feature log holds.

Each is a Shiryaev-Roberts detector (`inference.shadow.statistics.detectors`), which a long quiet
time makes no slower. One look is one of its events.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.canary.settings import CanarySettings
from inference.canary.traffic import Traffic
from inference.control.arm_reports import ArmReport, ArmsReport
from inference.shadow.statistics.detectors import watch
from inference.shadow.statistics.guardrails import (
    SLOW_SHARE,
    SPLIT_BROKEN,
    log_e_split,
    log_rate_factors,
)

_FEW_ALERTS = 5
_FAILURES = ("error", "nan")
"""One that is late is found by its latency: a busy machine makes all late."""


@dataclass
class Detector:
    """One guardrail: the rate of something over a limit.

    Attributes:
        log_s: ln of its evidence; an alarm from ln of the threshold on.
        events, total: what it has taken in.
    """

    name: str
    limit: float
    log_s: float = float("-inf")
    events: int = 0
    total: int = 0
    _state: NDArray[np.float64] | None = None

    def take(self, events: int, total: int) -> None:
        """Take in what came since the last look."""
        if total <= 0:
            return
        events = min(max(events, 0), total)
        self.events += events
        self.total += total
        factors = log_rate_factors(np.array([events]), np.array([total]), self.limit)
        state = np.zeros(factors.shape[1]) if self._state is None else self._state
        self._state, evidence = watch(state, factors)
        self.log_s = float(evidence[-1])

    def as_dict(self, threshold: float) -> dict[str, float | int | str | bool | None]:
        """For a record."""
        return {
            "events": self.events,
            "total": self.total,
            "limit": self.limit,
            "log_evidence": self.log_s if np.isfinite(self.log_s) else None,
            "alarm_from": threshold,
            "alarm": self.log_s >= threshold,
        }


@dataclass
class Guardrails:
    """The guardrails of the canary, in one step.

    Args:
        traffic: of the step.
    """

    settings: CanarySettings
    traffic: Traffic
    split_log_e: float = 0.0
    detectors: list[Detector] = field(init=False)
    _reported: dict[tuple[str, int], Mapping[str, int]] = field(default_factory=dict)
    _alerts: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self._failures = Detector("failures", self.settings.max_failures)
        self._slow = Detector("latency", SLOW_SHARE)
        self.detectors = [self._failures, self._slow]
        shares, ratio = self.traffic.shares, self.settings.max_alert_ratio
        self._canary_share = float(shares[1] / whole) if (whole := shares[0] + shares[1]) else 0.0
        self._more = self._fewer = None
        if 0 < self._canary_share < 1:
            self._more = Detector("alerts_more", _limit(self._canary_share, ratio))
            self._fewer = Detector("alerts_fewer", _limit(1 - self._canary_share, ratio))
            self.detectors += [self._more, self._fewer]

    @property
    def threshold(self) -> float:
        """ln of the evidence of an alarm: detectors times looks between false alarms."""
        looks = self.settings.false_alarms / self.settings.every
        return float(np.log(len(self.detectors) * max(looks, 1.0)))

    def look(self, reports: Mapping[str, ArmsReport]) -> None:
        """Take in what came since the last look."""
        failed, asked, slow, timed = 0, 0, 0, 0
        for worker, report in reports.items():
            for arm in _of_canary(report, self.traffic):
                place = (worker, report.begun)
                before = self._reported.get(place, {})
                new = {name: arm.counts.get(name, 0) - before.get(name, 0) for name in arm.counts}
                self._reported[place] = arm.counts
                failed += sum(new.get(name, 0) for name in _FAILURES)
                asked += new.get("events", 0)
                slow += new.get("slow", 0)
                timed += new.get("timed", 0)
        self._failures.take(failed, asked)
        self._slow.take(slow, timed)
        canary, champion = int(self.traffic.alerts[1]), int(self.traffic.alerts[0])
        new_canary, new_champion = canary - self._alerts[0], champion - self._alerts[1]
        self._alerts = (canary, champion)
        if self._more is not None and self._fewer is not None:
            self._more.take(new_canary, new_canary + new_champion)
            self._fewer.take(new_champion, new_canary + new_champion)
        there = self.traffic.shares > 0
        self.split_log_e = float(log_e_split(self.traffic.keys[there], self.traffic.shares[there]))

    def alarms(self) -> list[str]:
        """Which alarms there are, in words."""
        words = {
            "failures": "more than canary.max_failures of its events have an error, or no number",
            "latency": "its batches take longer than the champion's",
            "alerts_more": "it flags more than canary.max_alert_ratio times as many keys",
            "alerts_fewer": "it flags fewer keys than 1 / canary.max_alert_ratio of the champion's",
        }
        return [
            f"{words[each.name]} ({each.events:,} of {each.total:,})"
            for each in self.detectors
            if each.log_s >= self.threshold
        ]

    def alerts_in_band(self) -> bool | None:
        """Whether the rates of alerts, as they are, lie in the band; None: nothing to compare.

        Not to be alarmed is no proof: an arm with few keys has little to show. Nor are a few alerts
        too many or too few.
        """
        keys, alerts = self.traffic.keys[:2], self.traffic.alerts[:2]
        if self._more is None or not keys.all():
            return None
        champion, canary = (alerts / keys).tolist()
        ratio, expected = self.settings.max_alert_ratio, champion * float(keys[1])
        too_many = alerts[1] >= _FEW_ALERTS and canary > ratio * champion
        too_few = expected >= 2 * _FEW_ALERTS and champion > ratio * canary
        return not (too_many or too_few)

    def split_is_broken(self) -> bool:
        """Whether keys do not fall on the arms by their shares: then nothing can be said."""
        return bool(self.traffic.misplaced) or self.split_log_e >= float(np.log(SPLIT_BROKEN))

    def as_dict(self) -> dict[str, object]:
        """For a record."""
        found: dict[str, object] = {
            each.name: each.as_dict(self.threshold) for each in self.detectors
        }
        return found | {
            "split": {
                "keys": self.traffic.keys.tolist(),
                "shares": self.traffic.shares.tolist(),
                "misplaced": self.traffic.misplaced,
                "log_evidence": self.split_log_e,
                "alarm_from": float(np.log(SPLIT_BROKEN)),
                "alarm": self.split_is_broken(),
            }
        }


def stopped(reports: Mapping[str, ArmsReport], traffic: Traffic) -> str | None:
    """Why a scorer has stopped the canary, or can't open it; None where none has."""
    for worker, report in reports.items():
        for arm in _of_canary(report, traffic):
            if arm.state == "stopped":
                return f"scorer {worker} stopped it: {arm.reason}"
            if arm.state == "refused":
                return f"scorer {worker} can't open it: {arm.reason}"
    return None


def _of_canary(report: ArmsReport, traffic: Traffic) -> Iterable[ArmReport]:
    canary = traffic.said.canary
    return (
        arm for arm in report.arms if (arm.name, arm.model) == (canary.name, canary.model.package)
    )


def _limit(share: float, ratio: float) -> float:
    """The part of all alerts that an arm of this share may have."""
    return share * ratio / (share * ratio + 1 - share)
