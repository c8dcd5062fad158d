"""Pairs of decisions as columns: what champion and candidate said of an event, until it counts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.approve_through.settings import LEAST_SHARE
from inference.errors import InferenceError
from inference.policy.policy import APPROVE, DECLINE

_MOST_AMOUNT = 2**64
"""Sums of larger ones outgrow floats, and no integer of JSON has a bound."""

MOST_SLICED = 3
"""Fields by which figures are kept apart."""

ROW = np.dtype(
    [
        ("hash", "<u8"),
        ("key", "<u8"),
        ("time", "<i8"),
        ("amount", "<f8"),
        ("first", "<f4"),
        ("second", "<f4"),
        ("champion", "i1"),
        ("candidate", "i1"),
        ("let_through", "?"),
        ("chance", "<f8"),
        ("doublings", "u1"),
        ("slices", "<u4", (MOST_SLICED,)),
    ]
)
"""A pair, in 64 bytes: hashes of the event's id and key, its time (ms), its amount and both
probabilities (``NaN`` where unknown), both decisions (codes), whether a would-be decline of the
champion was approved so that its truth be told, and the chance of that (0 where it had none, and
elsewhere), how often it has to be doubled to stand for those that were left out, and codes of the
values that it is sliced by. What the champion would have declined is declined here."""


class NothingToCompareError(InferenceError):
    """The candidate has said nothing yet."""


class Between(NamedTuple):
    """Whom a comparison is between; evidence begins anew where one of them changes."""

    champion: str
    candidate: str
    policy: str


class WouldBe(NamedTuple):
    """Columns of `ROW`, (n,) each."""

    champion: NDArray[np.int8]
    chance: NDArray[np.float64]
    let_through: NDArray[np.bool_]


def would_be(decisions: NDArray[np.int8], chances: Sequence[float | None]) -> WouldBe:
    """What the champion would have decided, and which of it was approved on purpose.

    Args:
        decisions: what became of the events, (n,).
        chances: to be approved, of would-be declines; None elsewhere. One that can be none is 0.
    """
    chance = np.array(chances, np.float64)
    declined = ~np.isnan(chance)
    chance[~((chance >= LEAST_SHARE) & (chance < 1))] = 0.0
    through = declined & (decisions == APPROVE)
    return WouldBe(np.where(declined, DECLINE, decisions).astype(np.int8), chance, through)


def probabilities(values: Sequence[float | None]) -> NDArray[np.float64]:
    """What a model that is out of its mind says is no probability, but ``NaN``, (n,)."""
    found = np.array(values, np.float64)
    found[~((found >= 0) & (found <= 1))] = np.nan
    return found


def amount_of(value: Any) -> float:
    """The number in what an event holds; ``NaN`` where that is none, or beyond all money."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    return float(value) if abs(value) <= _MOST_AMOUNT else float("nan")
