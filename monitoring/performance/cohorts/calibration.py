"""Whether probabilities are true: evidence that adds up, by band of probability.

Of an event of probability p, the odds of fraud may be r times those that p says. Against "r is
1.25 at most", an event that is fraud (y = 1) or not multiplies the evidence by

    (θ / 1.25)^y (1 - p + 1.25 p) / (1 - p + θ p),    θ = 1.25 times 1.3, 1.8, 3

and the same with 1/1.25 and 1/θ against "0.8 at least": a likelihood ratio that has a mean of 1 at
most for any r within the tolerance, given all that was known before (Wald 1945; Ville 1939; on
testing calibration so: Arnold, Henzi and Ziegel, arXiv 2109.11761). No probability is exactly true:
what lies within the tolerance never counts.

Logs are rounded down to multiples of 2^-40 and added as whole numbers, as in `betting`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1.25
"""By so much the odds may be off."""
BANDS = (0.001, 0.01, 0.1, 0.5)
"""Probabilities that divide bands."""

_STEP = 2.0**-40
_FURTHER = np.array([1.3, 1.8, 3.0])
_LIMITS = np.concatenate([np.full(3, TOLERANCE), np.full(3, 1 / TOLERANCE)])
_ODDS = np.concatenate([TOLERANCE * _FURTHER, 1 / (TOLERANCE * _FURTHER)])
RATIOS = len(_ODDS)
"""How many odds ratios are bet on: the first half on more fraud than expected."""


@dataclass(frozen=True)
class Band:
    """Events of one band of probabilities whose truth is known.

    Attributes:
        log_steps: log evidence for each odds ratio, in steps of 2^-40, (`RATIOS`,).
        expected: Σ p, in these steps.
    """

    events: int = 0
    frauds: int = 0
    expected: int = 0
    log_steps: tuple[int, ...] = (0,) * RATIOS

    def __add__(self, other: "Band") -> "Band":
        return Band(
            self.events + other.events,
            self.frauds + other.frauds,
            self.expected + other.expected,
            tuple(a + b for a, b in zip(self.log_steps, other.log_steps, strict=True)),
        )

    @property
    def expected_frauds(self) -> float:
        """How many the probabilities say."""
        return self.expected * _STEP


def bands_of(probabilities: NDArray[np.float64], frauds: NDArray[np.bool_]) -> tuple[Band, ...]:
    """Take in n events, their probabilities in [0, 1]: a `Band` for each, the lowest first."""
    edges = np.searchsorted(BANDS, probabilities, side="right")
    factors = (
        np.where(frauds[:, None], np.log(_ODDS / _LIMITS), 0.0)
        + np.log1p(probabilities[:, None] * (_LIMITS - 1))
        - np.log1p(probabilities[:, None] * (_ODDS - 1))
    )
    steps = np.floor(factors / _STEP).astype(np.int64)
    expected = np.rint(probabilities / _STEP).astype(np.int64)
    found = []
    for band in range(len(BANDS) + 1):
        own = edges == band
        found.append(
            Band(
                int(own.sum()),
                int(frauds[own].sum()),
                int(expected[own].sum()),
                tuple(steps[own].sum(axis=0).tolist()),
            )
        )
    return tuple(found)


def log_evidence(bands: tuple[Band, ...]) -> NDArray[np.float64]:
    """Log e-values: of all bands together, then of each, (`len(bands)` + 1, `RATIOS`)."""
    each = np.array([[float(step) for step in band.log_steps] for band in bands]) * _STEP
    return np.vstack([each.sum(axis=0), each])
