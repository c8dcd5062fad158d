"""What a step of a canary will touch, by the newest events: keys, events, amounts and flips."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.canary.recent_events import RecentEvents
from inference.control.canary import CanaryCommand
from inference.policy.policy import DECISIONS
from inference.routing.assignment import Assignment

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class BlastRadius:
    """What the canary's keys are and do at a share, in a day such as those of the newest events.

    Attributes:
        share, former: of the keys, once it has stepped and before.
        since, until: event times of the first and the last event that was looked at, ms.
        looked_at: how many those are.
        keys, all_keys: of these, the canary's, and of all arms.
        new_keys: the canary's that are not its own yet.
        events: of the canary's keys, in a day; None where all events are of one moment.
        amounts: of these, in a day; None where no event has an amount.
        asked: events of the champion that the canary was asked about; 0 where it was not.
        flips: in a day expected, from the champion's decision to the canary's, shape (3, 3), by
            the share of all that were asked about; None where none was.
        flip_amounts: the same in amounts.
        no_flips: why it was asked about none.
    """

    share: float
    former: float
    since: int
    until: int
    looked_at: int
    keys: int
    all_keys: int
    new_keys: int
    events: float | None
    amounts: float | None
    asked: int
    flips: NDArray[np.float64] | None
    flip_amounts: NDArray[np.float64] | None
    no_flips: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        told = {name: value for name, value in vars(self).items() if not name.startswith("flip")}
        return told | {"flips": _table(self.flips), "flip_amounts": _table(self.flip_amounts)}


def blast_radius(
    recent: RecentEvents,
    after: CanaryCommand,
    former: float,
    answers: NDArray[np.int8] | None,
    no_flips: str = "",
) -> BlastRadius:
    """Tell what a step touches.

    Args:
        after: the experiment as it stands once the canary has stepped.
        former: its share before; 0 where it begins.
        answers: what the canary says of those of the n events that are the champion's `own`, codes
            into `DECISIONS`, in their order; None where it was not asked.
        no_flips: why it was not.
    """
    shares = [arm.share for arm in after.arms]
    assignment = Assignment(after.experiment, shares)
    points = assignment.points(recent.keys)
    touched = assignment.arms_of(points) == 1
    span = int(recent.times.max() - recent.times.min())
    daily = _DAY_MS / span if span else None
    known = np.isfinite(recent.amounts)
    has_amounts = daily is not None and bool(known.any())
    keys = np.unique(points[touched])
    events = None if daily is None else float(touched.sum()) * daily
    flips = flip_amounts = None
    if answers is not None and answers.size and events is not None:
        pairs = recent.decisions[recent.own].astype(np.int64) * len(DECISIONS) + answers
        scale = events / answers.size
        flips = _matrix(pairs, None) * scale
        if has_amounts:
            flip_amounts = _matrix(pairs, np.nan_to_num(recent.amounts[recent.own])) * scale
    return BlastRadius(
        share=shares[0],
        former=former,
        since=int(recent.times.min()),
        until=int(recent.times.max()),
        looked_at=len(recent.keys),
        keys=int(keys.size),
        all_keys=int(np.unique(points).size),
        new_keys=int((keys >= former).sum()),
        events=events,
        amounts=float(recent.amounts[touched & known].sum()) * (daily or 0.0)
        if has_amounts
        else None,
        asked=0 if answers is None else int(answers.size),
        flips=flips,
        flip_amounts=flip_amounts,
        no_flips=no_flips,
    )


def _matrix(pairs: NDArray[np.int64], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Sums from decision to decision, with nothing where they are the same."""
    width = len(DECISIONS)
    sums = np.bincount(pairs, weights, width * width).reshape(width, width).astype(np.float64)
    np.fill_diagonal(sums, 0.0)
    return sums


def _table(sums: NDArray[np.float64] | None) -> dict[str, dict[str, float]] | None:
    if sums is None:
        return None
    return {
        first: {second: float(sums[i, j]) for j, second in enumerate(DECISIONS) if first != second}
        for i, first in enumerate(DECISIONS)
    }
