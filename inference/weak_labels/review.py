"""Which events to look at next: most for their risk, some for what their label teaches."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.weak_labels.young import certainty

_NOTHING = 1e-6
"""Bits: less is nothing to learn."""


class Review(NamedTuple):
    """What to look at.

    Attributes:
        risky: places of events, the riskiest first.
        instructive: places of others, in the order of the draw.
        value: of each event's label, in bits, (n,).
    """

    risky: NDArray[np.intp]
    instructive: NDArray[np.intp]
    value: NDArray[np.float64]


def choose(
    probability: NDArray[np.float64],
    chance: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    capacity: int,
    learning_share: float,
    rng: np.random.Generator,
) -> Review:
    """Share the capacity out.

    A label is worth the entropy of the mean of what the model and the rules hold for the chance of
    fraud: a committee of two, whose word is least sure where either of them is unsure, or where
    they differ (Dagan and Engelson, "Committee-based sampling for training probabilistic
    classifiers", 1995). Events are drawn by that worth, not taken from the top: the surest ones
    would be alike. (Efraimidis and Spirakis' draw without replacement, 2006.)

    Args:
        probability: by the model, ``NaN`` where it gave none, (n,).
        chance: by the rules, (n,).
        flagged: whether the policy wants an event looked at, (n,): only these count for risk.
        capacity: how many events can be looked at.
        learning_share: how much of it goes to those that teach.
        rng: draws.
    """
    model = np.where(np.isnan(probability), chance, probability)
    value = 1 - certainty((model + chance) / 2)
    instructive = round(capacity * learning_share)
    order = np.lexsort((np.arange(len(model)), -model))
    risky = order[flagged[order]][: capacity - instructive]
    left = value > _NOTHING
    left[risky] = False
    keys = np.full(len(value), -np.inf)
    keys[left] = np.log(rng.random(np.count_nonzero(left))) / value[left]
    drawn = np.argsort(-keys, kind="stable")[: min(instructive, np.count_nonzero(left))]
    return Review(risky, drawn, value)
