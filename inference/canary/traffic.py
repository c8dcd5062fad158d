"""How the arms' keys fare in a step, from the feature log: exposure, alerts, the split."""

from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.control.canary import CanaryCommand
from inference.policy.policy import DECISIONS
from inference.routing.assignment import Assignment
from streams.feature_log import CHAMPION_ARM, approve_through_of

_APPROVED = DECISIONS[0]
_MOST_KEYS = 2_000_000
"""Of which it is known that they were seen, 120 bytes each: further ones are not counted."""
_IDLE_S = 600.0


@dataclass
class Traffic:
    """What was read of one step of an experiment.

    An event counts for the arm that its key belongs to, whoever answered it. Of a key, only its
    first alert in the step counts: events of a key go together.

    Args:
        said: the experiment, and its shares now. Events of other ones are of other steps.

    Attributes:
        events: of each arm, the champion first, (arms,).
        answered: events that an arm's own model answered, (arms,).
        keys: first seen in this step, (arms,).
        alerts: of these, that had an event reviewed or declined, (arms,).
        misplaced: events whose arm is not that of their key.
        watermark: event time that all partitions have come to, ms, but for those of which nothing
            was read for ten minutes; None before the first event.
        opened: the time of the step's first event that was not late: one that comes days after it
            happened makes no step older.
    """

    said: CanaryCommand
    events: NDArray[np.int64] = field(init=False)
    answered: NDArray[np.int64] = field(init=False)
    keys: NDArray[np.int64] = field(init=False)
    alerts: NDArray[np.int64] = field(init=False)
    misplaced: int = 0
    opened: int | None = None
    _latest: dict[int, int] = field(default_factory=dict)
    _heard: dict[int, float] = field(default_factory=dict)
    _seen: set[float] = field(default_factory=set)
    _alerted: set[float] = field(default_factory=set)

    def __post_init__(self) -> None:
        arms = self.said.arms
        shares = [arm.share for arm in arms]
        self.names = (CHAMPION_ARM, *(arm.name for arm in arms))
        self.shares = np.array([max(0.0, 1.0 - sum(shares)), *shares])
        self._models = [self.said.champion[:12], *(arm.model.package[:12] for arm in arms)]
        self._assignment = Assignment(self.said.experiment, shares)
        for name in ("events", "answered", "keys", "alerts"):
            setattr(self, name, np.zeros(len(self.names), np.int64))

    @property
    def watermark(self) -> int | None:
        """See above."""
        now = monotonic()
        of_busy = [
            latest
            for partition, latest in self._latest.items()
            if now - self._heard[partition] < _IDLE_S
        ]
        return min(of_busy or self._latest.values()) if self._latest else None

    @property
    def lasted(self) -> int:
        """How much event time the step has lasted, ms."""
        watermark = self.watermark
        if watermark is None or self.opened is None:
            return 0
        return max(0, watermark - self.opened)

    def as_dict(self) -> dict[str, Any]:
        """For a record: what was counted, by arm, and how long the step has lasted."""
        return {
            "arms": list(self.names),
            "shares": self.shares.tolist(),
            "events": self.events.tolist(),
            "answered": self.answered.tolist(),
            "keys": self.keys.tolist(),
            "alerts": self.alerts.tolist(),
            "lasted_ms": self.lasted,
            "watermark": self.watermark,
        }

    def take(self, partition: int, table: pa.Table) -> None:
        """Take in a record of the feature log, of one partition."""
        experiment = (table.schema.metadata or {}).get(b"weir.experiment", b"")
        if experiment != self.said.experiment.encode():
            return
        arms = _codes(table["arm"].to_pylist(), self.names)
        shares = self.shares.astype(np.float32)[arms]
        of_step = (arms >= 0) & (table["share"].to_numpy() == shares)
        if not of_step.any():
            return
        table, arms = table.filter(pa.array(of_step)), arms[of_step]
        times = table["event_time"].cast(pa.int64()).to_numpy()
        latest = int(times.max())
        self._latest[partition] = max(self._latest.get(partition, latest), latest)
        self._heard[partition] = monotonic()
        in_time = times[~table["late"].to_numpy()]
        if self.opened is None and in_time.size:
            self.opened = int(in_time[0])
        models = np.array(table["model"].to_pylist(), np.str_)
        points = self._assignment.points(table["key"].to_pylist())
        alerted = np.array(table["decision"].to_pylist(), np.str_) != _APPROVED
        # The champion's alerts, also where one was let through: an arm's never are.
        alerted |= np.array([each is not None for each in approve_through_of(table)], np.bool_)
        self.misplaced += int((self._assignment.arms_of(points) != arms).sum())
        own = models == np.array(self._models, np.str_)[arms]
        self.events += np.bincount(arms, minlength=len(self.names))
        self.answered += np.bincount(arms[own], minlength=len(self.names))
        self.keys += self._new(self._seen, arms, points)
        alerted &= np.fromiter(map(self._seen.__contains__, points.tolist()), np.bool_, len(points))
        self.alerts += self._new(self._alerted, arms[alerted], points[alerted])

    def _new(
        self, known: set[float], arms: NDArray[np.int64], points: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """How many keys of each arm are not known yet; then they are."""
        found, first = np.unique(points, return_index=True)
        new = np.array([point not in known for point in found.tolist()], np.bool_)
        new[np.cumsum(new) > _MOST_KEYS - len(known)] = False  # these are enough to tell by
        known.update(found[new].tolist())
        counts: NDArray[np.int64] = np.bincount(arms[first[new]], minlength=len(self.names))
        return counts


def _codes(names: list[str], known: tuple[str, ...]) -> NDArray[np.int64]:
    places = {name: place for place, name in enumerate(known)}
    return np.array([places.get(name, -1) for name in names], np.int64)
