"""Bets on how a distribution over bins may have changed: what evidence of drift is made of.

A bet k names a likelihood ratio r_kb for each bin b. Where the bins of an event have the shares p,

    sum_b p_b r_kb <= M_k + sqrt(tau Var_k),    M_k, Var_k: mean and variance of r_k under the
                                                reference's shares p0,

for all p with chi2(p, p0) = sum (p - p0)²/p0 <= tau, by Cauchy and Schwarz. So r_kb over that bound
is an e-value against "nothing has moved by more than tau", and the product over events is one,
which needs the sum of counts alone. A tolerance above 0 stands for what a reference of m rows can't
know, too: along one bet its error is sqrt(Var/m).

Where events are not independent, those of a bin come in clusters, of v_b events say
(`inference.packages.autocorrelation`), and ln r_kb is divided by v_b: so a cluster counts as one
event. Clusters begin p_b / v_b times per event, as in a Poisson process. So each event costs the c
with which

    sum_b p_b / v_b (r_kb exp(-c v_b) - 1) = 0,

and at most that for all such p, by the same bound for the mean of what p_b is multiplied with.
Where all v_b are v, this divides logs of e-values by v: exact for Gaussian sums, too, since
E exp((theta S - n theta²/2) / v) = 1 where Var S = n v.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMOOTHED = 0.5
"""Added to the count of each bin of a reference, so that none has a share of 0."""
_CERTAIN = 12.0
"""Squared standard errors of a reference's share of what is bet on: 3.5 of them."""
_HALVINGS, _ENOUGH = 24, 300.0
_LOCATION = (0.1, 0.2, 0.4, 0.8)
_SPREAD = (0.2, 0.5)
_RARE = (0.003, 0.02, 0.1, 0.5)
"""Shares that something which was rarer has now."""
_SPIKE = (0.02, 0.1, 0.5)
"""Shares that move to one bin."""
_SEEN = 1.3
"""Times what a share may be: of less, a bet says so little that it takes long to be lost, too."""


@dataclass(frozen=True)
class Bets:
    """K bets over the bins of a feature, in the order of `Histogram.counts`.

    Attributes:
        log_ratio: ln r, (K, bins).
        weight: what is put on each, (K,); sums to 1.
    """

    log_ratio: NDArray[np.float64]
    weight: NDArray[np.float64]


def shares(counts: ArrayLike) -> NDArray[np.float64]:
    """Counts (..., bins) as shares, smoothed so that each is above 0."""
    smoothed = np.asarray(counts, np.float64) + SMOOTHED
    return np.asarray(smoothed / smoothed.sum(axis=-1, keepdims=True))


def slack_of(rows: ArrayLike, tolerance: float) -> NDArray[np.float64]:
    """The square root of tau, (...): how far a stream may be away by itself.

    Args:
        rows: independent ones that the reference's shares come from, (...).
        tolerance: a chi-squared distance that counts as none.
    """
    unknown = _CERTAIN / np.maximum(np.asarray(rows, np.float64), 1)
    return np.asarray(np.sqrt(tolerance) + np.sqrt(unknown))


def place_bets(share: NDArray[np.float64], slack: float, *, stuck: bool = True) -> Bets:
    """Bets on all that may happen to a feature: it moves, spreads, goes missing, leaves its range,
    or gets stuck.

    Args:
        share: of the reference's rows, (bins,): below, the bins, above, missing; all above 0.
        slack: what is rare is bet to be more than it may be within that; see `slack_of`.
        stuck: whether to bet on the last: that takes three bets for each bin.
    """
    rank = _ranks(share)
    spread = _standard(np.abs(rank), share)
    families = [
        (0.4, [sign * size * rank for size in _LOCATION for sign in (-1, 1)]),
        (0.2, [sign * size * spread for size in _SPREAD for sign in (-1, 1)]),
        (0.2, _of_share(share, [len(share) - 1], slack)),
        (0.1, _of_share(share, [0, len(share) - 2], slack)),
        (0.1, _spikes(share, slack) if stuck else []),
    ]
    families = [(weight, bets) for weight, bets in families if bets]
    whole = sum(weight for weight, _ in families)
    return Bets(
        np.array([bet for _, bets in families for bet in bets]),
        np.array([weight / whole / len(bets) for weight, bets in families for _ in bets]),
    )


def log_bound(
    bets: Bets,
    share: NDArray[np.float64],
    slack: NDArray[np.float64],
    clusters: NDArray[np.float64],
) -> NDArray[np.float64]:
    """ln of the bound for the mean of each bet's ratio, (..., K): per event, what a bet costs.

    Args:
        share: of the reference, (..., bins): such as one for each hour of the week.
        slack: see `slack_of`, (...).
        clusters: events that count as one, (bins,).
    """
    slack = slack[..., None]
    if not np.ptp(clusters):
        ratio = np.exp(bets.log_ratio)
        mean = _largest_mean(ratio, share[..., None, :], slack)
        return np.asarray(np.log(mean) / clusters[0])
    wide = (*slack.shape[:-1], len(bets.log_ratio))
    low = np.broadcast_to(bets.log_ratio.min(axis=1) / clusters.min(), wide)
    high = low + (np.ptp(bets.log_ratio, axis=1) + np.log1p(slack)) / clusters.min()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        log_kept = np.minimum(bets.log_ratio - middle[..., None] * clusters, _ENOUGH)
        kept = np.exp(log_kept) - 1
        found = _largest_mean(kept / clusters, share[..., None, :], slack)
        low, high = np.where(found > 0, middle, low), np.where(found > 0, high, middle)
    return np.asarray(high)


def _largest_mean(
    values: NDArray[np.float64], share: NDArray[np.float64], slack: NDArray[np.float64]
) -> NDArray[np.float64]:
    mean = (values * share).sum(axis=-1)
    variance = np.maximum((values**2 * share).sum(axis=-1) - mean**2, 0)
    return np.asarray(mean + np.sqrt(variance) * slack)


def log_e(
    log_ratio: NDArray[np.float64], counts: ArrayLike, costs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """ln of each bet's e-value for some events, (K,).

    Args:
        log_ratio: of the bets, each bin's divided by its clusters' size, (K, bins).
        counts: of the events, (bins,).
        costs: the sum of `log_bound` over the events, (K,).
    """
    return np.asarray(log_ratio @ np.asarray(counts, np.float64) - costs)


def _ranks(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each bin lies among those that are there; mean 0 and sd 1; a missing value has 0."""
    present = share[:-1] / share[:-1].sum()
    middle = np.cumsum(present) - present / 2
    return _standard(np.append(2 * middle - 1, 0.0), share)


def _standard(values: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    present = share[:-1] / share[:-1].sum()
    mean = values[:-1] @ present
    deviation = np.sqrt(max(((values[:-1] - mean) ** 2) @ present, 1e-4))
    return np.append((values[:-1] - mean) / deviation, 0.0)


def _of_share(
    share: NDArray[np.float64], bins: list[int], slack: float
) -> list[NDArray[np.float64]]:
    """That some bins together have another share, and the others keep theirs among themselves."""
    before = float(share[bins].sum())
    most = _most(before, slack)
    wanted = [max(2 * most / (1 + most), least) for least in _RARE if least > most]
    wanted += [before / 2, before / 10] if before > 0.01 else []
    wanted += [(1 + before) / 2] if before > _RARE[-1] else []
    return [_moved(share, bins, after, slack) for after in wanted]


def _spikes(share: NDArray[np.float64], slack: float) -> list[NDArray[np.float64]]:
    found = []
    for place in range(1, len(share) - 2):
        before = float(share[place])
        wanted = [before + more * (1 - before) for more in _SPIKE]
        found += [
            _moved(share, [place], after, slack)
            for after in wanted
            if after > _SEEN * _most(before, slack)
        ]
    return found


def _most(before: float, slack: float) -> float:
    """What a share may be within the slack."""
    return before + slack * float(np.sqrt(before * (1 - before)))


def _moved(
    share: NDArray[np.float64], bins: list[int], after: float, slack: float
) -> NDArray[np.float64]:
    before = float(share[bins].sum())
    ratio = np.full(len(share), np.log1p(-after) - np.log1p(-before))
    rare = after > before and before <= _RARE[-1]
    ratio[bins] = np.log(after) - np.log(_most(before, slack) if rare else before)
    return ratio
