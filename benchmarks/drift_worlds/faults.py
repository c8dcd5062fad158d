"""Faults that a stream's feature may have, and what the monitor has to call each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
CULPRIT = "4.2.0"
"""The producer whose fault some are."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        kind: what it has to be called.
        change: from values (n,), whether each is the culprit's (n,), and a generator, to values.
        producer: who has to be named; None where it is everybody's.
    """

    name: str
    kind: str
    change: Callable[[Values, NDArray[np.bool_], np.random.Generator], Values]
    producer: str | None = None


def _where(change: Values, own: NDArray[np.bool_], values: Values) -> Values:
    return np.where(own, change, values).astype(np.float32)


FAULTS = (
    Fault("nulls", "nulls", lambda v, own, rng: _where(v * np.nan, rng.random(len(v)) < 0.2, v)),
    Fault("cents", "unit_change", lambda v, own, rng: v * np.float32(100)),
    Fault("thousands", "unit_change", lambda v, own, rng: v / np.float32(1_000)),
    Fault("stuck", "stuck", lambda v, own, rng: np.full_like(v, np.nanquantile(v, 0.9))),
    Fault("default", "stuck", lambda v, own, rng: _where(0 * v - 7, rng.random(len(v)) < 0.6, v)),
    Fault(
        "far",
        "new_range",
        lambda v, own, rng: _where(v + 50 * np.nanmax(np.abs(v)), rng.random(len(v)) < 0.3, v),
    ),
    Fault("one's cents", "unit_change", lambda v, own, rng: _where(v * 100, own, v), CULPRIT),
    Fault("one's nulls", "nulls", lambda v, own, rng: _where(v * np.nan, own, v), CULPRIT),
    Fault("up", "covariate_shift", lambda v, own, rng: _mixed(v, rng, 0.7)),
    Fault("down", "covariate_shift", lambda v, own, rng: _mixed(v, rng, -0.7)),
)


def _mixed(values: Values, rng: np.random.Generator, part: float) -> Values:
    """Of so many events, the value is one of the upper (lower, below 0) half."""
    present = values[~np.isnan(values)]
    middle = np.median(present)
    half = present[present > middle] if part > 0 else present[present <= middle]
    drawn = rng.choice(half if len(half) else present, len(values))
    return _where(drawn, rng.random(len(values)) < abs(part), values)
