"""Several candidates, or several metrics: how much evidence one of them must bring.

Several metrics in one gate that all must pass need no correction (intersection-union). Between
two candidates, the same paired e-process holds as between candidate and champion.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def alpha_of_candidate(place: int, alpha: float) -> float:
    """Return 6 alpha / (π² k²): the share of candidate k since the champion changed, k = 1, 2, ...

    The shares sum to alpha over endlessly many candidates, so the probability of any false
    verdict among them stays alpha (Bonferroni, weighted).

    Raises:
        ValueError: ``place`` < 1.
    """
    if place < 1:
        raise ValueError(f"place = {place}: the first candidate is number 1")
    return 6 * alpha / (math.pi * place) ** 2


def e_lond_rejects(log_e: float, place: int, rejected: int, alpha: float) -> bool:
    """Whether candidate k is accepted by e-LOND: E >= 1 / (alpha γ_k (R + 1)), γ_k = 6/(π²k²).

    R is how many before it were accepted. Of those accepted, a share of alpha is false in
    expectation, under any dependence: Xu and Ramdas, arXiv 2311.06412. With R = 0, the level is
    that of `alpha_of_candidate`.

    Raises:
        ValueError: ``place`` < 1, or ``rejected`` is not among the candidates before.
    """
    if not 0 <= rejected < max(place, 1):
        raise ValueError(f"rejected = {rejected} of the {place - 1} candidates before")
    return log_e >= -math.log(alpha_of_candidate(place, alpha) * (rejected + 1))


def log_mean_e(log_e: ArrayLike) -> NDArray[np.float64]:
    """Log of the mean of e-values along the last axis, given their logs; (..., m) to (...).

    The mean of e-values is one against "none improved", under any dependence: Vovk and Wang,
    arXiv 1912.06116. It is 0 exactly where all logs are 0.
    """
    log_e = np.asarray(log_e, np.float64)
    top = log_e.max(axis=-1)
    anchor = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(anchor + np.log(np.exp(log_e - anchor[..., None]).mean(axis=-1)))
