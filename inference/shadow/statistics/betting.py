"""Evidence on any difference with a known worst case: a mixture of constant bets.

D is the champion's loss minus the candidate's, on one event; D >= -b, where b is the most that
the switch can lose at once (`Costs.worst_difference`). Gains need no bound. For bets λ_1 ... λ_K,

    E = 1/K Σ_k Π_i (1 + λ_k (D_i + δ)),    λ = geomspace(.02, .9, K = 20) / (b - δ),

is an e-process against "E[D | past] <= -δ": E >= 1/alpha has a probability of alpha at most, over
all looks together. δ = 0 asks for superiority, δ > 0 for non-inferiority with that margin.
Waudby-Smith and Ramdas, arXiv 2010.09686; `dKelly` of confseq's ``betting.py``.

The bets are constant, so each one's log-capital is a plain sum. Each term is rounded down to a
multiple of 2^-40 and added as a whole number: the sum has the same bits whatever the order of the
events and however they are spread over partitions and batches (of one machine and one version of
numpy: another's ``log1p`` may differ in the last of its 53 bits). Rounding down leaves the
guarantee whole, and costs 9e-13 of log E per event at most.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inference.shadow.statistics.several import log_mean_e

BETS = 20
STEP = 2.0**-40
_CHUNK = 4_096
"""Rows whose steps fit 64 bits in sum, whatever they are: the log of a float is below 710."""


@dataclass(frozen=True)
class Capital:
    """The log-capital of each bet in steps of 2^-40, all 0 before the first event: E = 1."""

    steps: tuple[int, ...] = (0,) * BETS

    def __add__(self, other: "Capital") -> "Capital":
        """Return the capital of both sets of events together."""
        return Capital(tuple(a + b for a, b in zip(self.steps, other.steps, strict=True)))

    @property
    def log_bets(self) -> NDArray[np.float64]:
        """Log-capital of each bet, (K,)."""
        return np.array([float(each) for each in self.steps]) * STEP

    @property
    def log_e(self) -> float:
        """Log of the e-value; exactly 0 where nothing differed."""
        return float(log_mean_e(self.log_bets))


def superiority(differences: ArrayLike, worst: float) -> Capital:
    """Evidence of these events that the candidate loses less; equal ones need not be there.

    Args:
        differences: D, (n,).
        worst: b, in the same unit.

    Raises:
        ValueError: as for `log_factors`.
    """
    return _capital(differences, worst, 0.0)


def non_inferiority(differences: ArrayLike, worst: float, margin: float, equal: int = 0) -> Capital:
    """Evidence that the candidate loses no more than ``margin`` more per event.

    Args:
        differences: D, (n,).
        worst: b, in the same unit.
        margin: δ, above 0 and below b.
        equal: further events, of D = 0, which count here.

    Raises:
        ValueError: as for `log_factors`, or ``equal`` is negative.
    """
    if equal < 0:
        raise ValueError(f"equal = {equal} must not be negative")
    one = _capital(np.zeros(1), worst, margin)
    same = Capital(tuple(equal * each for each in one.steps))
    return _capital(differences, worst, margin) + same


def harm(differences: ArrayLike, worst: float) -> Capital:
    """Evidence that the candidate loses more: `superiority` with the models swapped.

    Args:
        differences: D, (n,).
        worst: the most that the switch can *gain* at once, D <= worst.

    Raises:
        ValueError: as for `log_factors`.
    """
    return _capital(-np.asarray(differences, np.float64), worst, 0.0)


def log_factors(differences: ArrayLike, worst: float, margin: float = 0.0) -> NDArray[np.float64]:
    """Log of what each event multiplies each bet's capital by, (n, K), rounded down.

    Raises:
        ValueError: a difference is below -worst or not finite, or not 0 <= margin < worst.
    """
    differences = np.asarray(differences, np.float64)
    if not 0 <= margin < worst or not np.isfinite(worst):
        raise ValueError(f"0 <= margin < worst must hold, not margin {margin}, worst {worst}")
    if not np.isfinite(differences).all():
        raise ValueError("differences must be finite: leave out events that have none")
    if len(differences) and differences.min() < -worst:
        raise ValueError(f"a difference of {differences.min()} is below the worst, {-worst}")
    bets = np.geomspace(0.02, 0.9, BETS) / (worst - margin)
    return np.asarray(np.floor(np.log1p(bets * (differences + margin)[:, None]) / STEP) * STEP)


def _capital(differences: ArrayLike, worst: float, margin: float) -> Capital:
    differences = np.asarray(differences, np.float64)
    totals = [0] * BETS
    for begin in range(0, len(differences), _CHUNK):
        factors = log_factors(differences[begin : begin + _CHUNK], worst, margin)
        chunk = (factors / STEP).astype(np.int64).sum(axis=0)
        totals = [a + b for a, b in zip(totals, chunk.tolist(), strict=True)]
    return Capital(tuple(totals))
