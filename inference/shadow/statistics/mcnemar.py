"""Paired decisions, right or wrong: a sequential McNemar test that may be looked at at any time.

``wins`` counts events where the candidate is right and the champion wrong, ``losses`` the reverse;
events where both are right, or both wrong, say nothing. θ is the probability of a win among these
discordant events. Everything depends on the two counts alone, so evidence of parts is that of
their summed counts, whatever the order.

Count per class, never over all: where fraud is rare, nearly all discordant events are false
alarms, and "more often right" can mean "catches less".
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, xlogy  # type: ignore[import-untyped]

from inference.shadow.statistics.beta import log_betainc

PRIOR = 20.0
"""Beta(20, 20) spreads θ by .08 around a half: made for 55/45 to 60/40."""


def log_e_better(wins: ArrayLike, losses: ArrayLike, prior: float = PRIOR) -> NDArray[np.float64]:
    """Log of the e-value against θ <= 1/2, shape of the counts; swap them to ask for harm.

    The likelihood ratio of a Beta(a, a) prior truncated to (1/2, 1) to θ = 1/2, W wins, L losses:

        ln E = ln B(a+W, a+L) - ln B(a, a) + (W+L+1) ln 2 + ln I_½(a+L, a+W)

    Mixture of Robbins (1970); as a sequential test of proportions: Howard, Ramdas, McAuliffe and
    Sekhon, arXiv 1810.08240. E >= 1/alpha has a probability of alpha at most, over all looks
    together.

    Raises:
        ValueError: a count is negative.
    """
    wins, losses = _counts(wins, losses)
    return np.asarray(
        _log_mixture(wins, losses, prior)
        + (wins + losses) * np.log(2)
        # I_½(a, a) = 1/2 but for its last bit, which would leave E = 1 not quite 1.
        + (log_betainc(prior + losses, prior + wins, 0.5) - log_betainc(prior, prior, 0.5))
    )


def log_e_different(
    wins: ArrayLike, losses: ArrayLike, prior: float = PRIOR
) -> NDArray[np.float64]:
    """Log of the e-value against θ = 1/2: ln B(a+W, a+L) - ln B(a, a) + (W+L) ln 2.

    Raises:
        ValueError: a count is negative.
    """
    wins, losses = _counts(wins, losses)
    return np.asarray(_log_mixture(wins, losses, prior) + (wins + losses) * np.log(2))


def win_rate_interval(
    wins: ArrayLike, losses: ArrayLike, alpha: float, prior: float = PRIOR
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper ends of the confidence sequence for θ, each of the counts' shape.

        {θ : ln B(a+W, a+L) - ln B(a, a) - W ln θ - L ln(1-θ) < ln(1/alpha)}

    It holds θ at all looks together with a probability of 1 - alpha at least (source as above).

    Raises:
        ValueError: a count is negative, or ``alpha`` is not in (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha = {alpha} must lie in (0, 1)")
    wins, losses = _counts(wins, losses)
    level = _log_mixture(wins, losses, prior) + np.log(alpha)

    def excluded(theta: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray(level - xlogy(wins, theta) - xlogy(losses, 1 - theta) >= 0)

    # The excess is convex in θ and negative at the share of wins.
    total = wins + losses
    share = np.divide(wins, total, out=np.full(total.shape, 0.5), where=total > 0)
    low = _bisect(excluded, np.zeros_like(share), share)
    high = _bisect(excluded, np.ones_like(share), share)
    return low, high


def _bisect(
    excluded: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    out: NDArray[np.float64],
    inside: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The border between two points, of which the second is not excluded, from outside."""
    for _ in range(60):
        middle = (out + inside) / 2
        beyond = excluded(middle)
        out, inside = np.where(beyond, middle, out), np.where(beyond, inside, middle)
    return out


def _log_mixture(
    wins: NDArray[np.float64], losses: NDArray[np.float64], prior: float
) -> NDArray[np.float64]:
    return np.asarray(betaln(prior + wins, prior + losses) - betaln(prior, prior))


def _counts(wins: ArrayLike, losses: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    wins, losses = np.broadcast_arrays(np.asarray(wins, np.float64), np.asarray(losses, np.float64))
    if (wins < 0).any() or (losses < 0).any():
        raise ValueError("counts of wins and losses must not be negative")
    return wins, losses
