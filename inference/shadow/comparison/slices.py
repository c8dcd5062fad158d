"""Where a candidate differs: the same figures by the values of a field. They describe, and decide
nothing: among many slices some look bad by chance.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import APPROVE
from inference.shadow.statistics.moments import STEP, in_steps

MOST_VALUES = 1_000
REST = 1
"""Code of all values beyond the first 1,000 of a field."""
_LONGEST = 64

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Slice:
    """Events of one value.

    Attributes:
        value: None where the event has none.
        champion_alerts, candidate_alerts: events that are not approved.
        flips: events with other decisions.
        mature, frauds: of the events that count.
        saved: the champion's loss minus the candidate's over all mature events, in steps of 2^-24;
            0 without costs.
    """

    value: Value
    events: int = 0
    champion_alerts: int = 0
    candidate_alerts: int = 0
    flips: int = 0
    mature: int = 0
    frauds: int = 0
    saved: int = 0

    def __add__(self, other: "Slice") -> "Slice":
        return Slice(
            self.value,
            self.events + other.events,
            self.champion_alerts + other.champion_alerts,
            self.candidate_alerts + other.candidate_alerts,
            self.flips + other.flips,
            self.mature + other.mature,
            self.frauds + other.frauds,
            self.saved + other.saved,
        )

    def as_dict(self, *, with_costs: bool) -> dict[str, Any]:
        """For programs; `saved` in the currency of amounts."""
        return vars(self) | {"saved": self.saved * STEP if with_costs else None}


Slices = dict[int, Slice]
"""Of one field, by the code of the value."""


def code_of(value: Any) -> tuple[int, Value]:
    """The code of a value, in 32 bits, and what is shown of it."""
    if isinstance(value, str):
        value = value[:_LONGEST]
    elif not isinstance(value, int | float | bool):
        return 0, None
    return max(crc32(json.dumps(value).encode()), REST + 1), value


def coded(known: Slices, values: Sequence[Any]) -> tuple[NDArray[np.uint32], Slices]:
    """Codes of n values, (n,), and the slices of those that are new; no more than 1,000 in all."""
    codes, new = np.zeros(len(values), np.uint32), dict[int, Slice]()
    texts: dict[str, int] = {}  # the same ones come again and again
    for place, value in enumerate(values):
        if isinstance(value, str) and value in texts:
            codes[place] = texts[value]
            continue
        code, shown = code_of(value)
        if code and not (code in known or code in new) and len(known) + len(new) >= MOST_VALUES:
            code, shown = REST, "(other values)"
        if code not in known:
            new.setdefault(code, Slice(shown))
        codes[place] = code
        if isinstance(value, str):
            texts[value] = code
    return codes, new


def arrived(known: Slices, codes: NDArray[np.uint32], rows: NDArray[np.void]) -> Slices:
    """The slices with n further events of these codes."""
    alerts = [rows[name] != APPROVE for name in ("champion", "candidate")]
    flips = rows["champion"] != rows["candidate"]
    return known | {
        code: known[code]
        + Slice(None, *(int(each[own].sum()) for each in (np.ones_like(own), *alerts, flips)))
        for code, own in _each(codes)
    }


def matured(
    known: Slices,
    codes: NDArray[np.uint32],
    frauds: NDArray[np.bool_],
    weights: NDArray[np.int64],
    differences: NDArray[np.float64] | None,
) -> Slices:
    """The slices with n events that have become mature; see `cost_differences`."""
    found = dict(known)
    for code, own in _each(codes):
        saved = 0
        if differences is not None:
            saved = sum(in_steps(np.nan_to_num(differences[own])))
        count, fraud = int(weights[own].sum()), int(weights[own & frauds].sum())
        before = found.get(code, Slice(None))
        found[code] = before + Slice(None, mature=count, frauds=fraud, saved=saved)
    return found


def merged(first: Slices, second: Slices) -> Slices:
    """Both together."""
    found = dict(first)
    for code, each in second.items():
        found[code] = found[code] + each if code in found else each
    return found


def worst_first(found: Slices, *, with_costs: bool) -> list[Slice]:
    """The one where the candidate saves least first; without costs, the one with most flips."""
    if with_costs:
        return sorted(found.values(), key=lambda each: (each.saved, str(each.value)))
    return sorted(found.values(), key=lambda each: (-each.flips, str(each.value)))


def _each(codes: NDArray[np.uint32]) -> list[tuple[int, NDArray[np.bool_]]]:
    return [(code, codes == code) for code in np.unique(codes).tolist()]
