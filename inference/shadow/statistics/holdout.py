"""Where arms see different events, or declines hide the truth: columns whose mean is the truth's.

Both return values of the same sign as D everywhere: above 0 where the candidate loses less. They
have no useful bound, so `asymptotic` judges them, from 200 keys (or labels) with a loss on.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def canary_outcomes(
    key_losses: ArrayLike, in_canary: ArrayLike, shares: ArrayLike
) -> NDArray[np.float64]:
    """Each key's say in "champion's loss minus candidate's", (n,), from the one arm it was in.

    Y the key's summed loss over its maturity window, p the canary's share when it was assigned:

        φ = Y 1{champion} / (1 - p) - Y 1{canary} / p

    Horvitz-Thompson; with time-varying p: Waudby-Smith et al., arXiv 2103.06476 and 2210.10768. A
    key enters once, since its events go together; keys without loss are 0, and count.

    Raises:
        ValueError: a share is not in (0, 1), or a loss is not finite.
    """
    loss, canary = np.asarray(key_losses, np.float64), np.asarray(in_canary).astype(np.bool_)
    share = np.broadcast_to(np.asarray(shares, np.float64), loss.shape)
    if not ((share > 0) & (share < 1)).all():
        raise ValueError("shares must lie in (0, 1): at 0 and 1 one arm says nothing")
    if not np.isfinite(loss).all():
        raise ValueError("losses must be finite")
    return np.where(canary, -loss / share, loss / (1 - share))


def doubly_robust(
    differences: ArrayLike, labelled: ArrayLike, propensity: ArrayLike, predicted: ArrayLike
) -> NDArray[np.float64]:
    """D where only some would-be declines were let through to learn their truth, (n,).

        D~ = m + (R / p) (D - m)

    Its mean is that of D if p is right, whatever m; m only narrows it. Robins, Rotnitzky and Zhao,
    JASA 89 (1994); at all looks: arXiv 2210.10768. Where both models decline, D = 0 whatever the
    truth, and nothing is hidden: only champion-declines, candidate-approves is.

    Args:
        differences: D; of unlabelled events it is not read.
        labelled: R, whether the truth was learned.
        propensity: p, with which it was to be learned: 1 where the champion did not decline.
        predicted: m, the D expected of the calibrated probability q before the truth was known:
            q (D at fraud) + (1 - q) (D at legitimate).

    Raises:
        ValueError: a propensity is not in (0, 1], an event of propensity 1 has no label, or a
            value that is read is not finite.
    """
    known, p = np.asarray(labelled).astype(np.bool_), np.asarray(propensity, np.float64)
    expected = np.asarray(predicted, np.float64)
    actual = np.where(known, np.asarray(differences, np.float64), expected)
    if not ((p > 0) & (p <= 1)).all() or not known[p == 1].all():
        raise ValueError("propensities must lie in (0, 1], and events of propensity 1 have a label")
    if not (np.isfinite(actual) & np.isfinite(expected)).all():
        raise ValueError("differences of labelled events, and predictions, must be finite")
    return np.asarray(expected + (actual - expected) / p)


def difference_bounds(
    differences: ArrayLike, labelled: ArrayLike, at_fraud: ArrayLike, at_legitimate: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the most that D can be without a holdout, (n,) each; equal where labelled.

    Manski's bounds (American Economic Review 80, 1990): nothing is assumed of what is hidden. A
    verdict holds in any case only if the evidence of the lower ones suffices.
    """
    known, actual = np.asarray(labelled).astype(np.bool_), np.asarray(differences, np.float64)
    fraud, other = np.asarray(at_fraud, np.float64), np.asarray(at_legitimate, np.float64)
    low, high = np.minimum(fraud, other), np.maximum(fraud, other)
    return np.where(known, actual, low), np.where(known, actual, high)
