"""Where a candidate differs: the same figures by the values of a field. They describe, and decide
nothing: among many slices some look bad by chance.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inference.policy.policy import APPROVE
from inference.shadow.comparison.evidence import cost_differences
from inference.shadow.comparison.maturity import Mature
from inference.shadow.comparison.pairs import Pairs
from inference.shadow.comparison.settings import CostSettings

_MOST = 10_000
_REST = "(other values)"


@dataclass(frozen=True)
class Slice:
    """Events of one value.

    Attributes:
        value: None where the event has none.
        champion_alerts, candidate_alerts: events that are not approved.
        flips: events with other decisions.
        mature, frauds: of the events that count.
        saved: the champion's loss minus the candidate's over all mature events; None without costs.
    """

    value: Any
    events: int
    champion_alerts: int
    candidate_alerts: int
    flips: int
    mature: int
    frauds: int
    saved: float | None

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def slices(pairs: Pairs, mature: Mature, field: str, costs: CostSettings | None) -> list[Slice]:
    """Slices by a field that went along, the one where the candidate saves least first.

    Without costs, the one with most flips is first. Values beyond the 10,000 most frequent are one.

    Raises:
        KeyError: the field did not go along.
    """
    named = pairs.context[field]
    counts: dict[Any, int] = {}
    for value in named:
        counts[value] = counts.get(value, 0) + 1
    kept = sorted(counts, key=lambda value: (-counts[value], str(value)))[:_MOST]
    numbers = {value: number for number, value in enumerate(kept)}
    codes = np.array([numbers.get(value, len(kept)) for value in named], np.int64)
    total = len(kept) + 1
    flips = pairs.champion != pairs.candidate
    rows = mature.rows
    saved = None
    if costs is not None:
        differences = cost_differences(pairs, mature, costs.costs())
        saved = np.bincount(codes[rows], np.nan_to_num(differences), total)

    def counted(chosen: Any) -> list[int]:
        return [int(each) for each in np.bincount(codes[chosen], minlength=total)]

    events = counted(slice(None))
    first, second = counted(pairs.champion != APPROVE), counted(pairs.candidate != APPROVE)
    flipped, old, frauds = counted(flips), counted(rows), counted(rows[mature.frauds])
    found = [
        Slice(
            value=value,
            events=events[at],
            champion_alerts=first[at],
            candidate_alerts=second[at],
            flips=flipped[at],
            mature=old[at],
            frauds=frauds[at],
            saved=None if saved is None else float(saved[at]),
        )
        for at, value in enumerate([*kept, _REST])
        if events[at]
    ]
    if saved is None:
        return sorted(found, key=lambda each: (-each.flips, str(each.value)))
    return sorted(found, key=lambda each: (each.saved, str(each.value)))
