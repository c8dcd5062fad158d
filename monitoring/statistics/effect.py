"""How far a distribution has moved, and whether that is more than what does not matter.

    PSI = sum_b (p_b - q_b) ln(p_b / q_b)

of shares p now and q of the reference. Where the true one is delta, n PSI is nearly a non-central
chi-squared of B - 1 degrees of freedom and centre n delta, with 1/n = v/rows now + v/rows of the
reference: Potgieter, van Zyl, Schutte and Lombard, arXiv 2307.11878. So windows of any size can be
asked whether PSI is above delta, where "PSI > 0.1" asks mostly how small the window is.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import ncx2  # type: ignore[import-untyped]

_FEWEST = 5.0
"""Events that a bin must be expected to have; bins with fewer are taken together."""


def psi(counts: ArrayLike, share: NDArray[np.float64]) -> float:
    """The population stability index of counts (bins,) against shares above 0.

    Half an event is added to the counts where there are few, spread as the shares are.
    """
    now = np.asarray(counts, np.float64) + share
    now = now / now.sum()
    return float(np.sum((now - share) * np.log(now / share)))


def log_p_small(
    counts: ArrayLike,
    share: NDArray[np.float64],
    *,
    delta: float,
    clusters: NDArray[np.float64],
    rows: float,
) -> float:
    """ln of the p-value of "PSI is ``delta`` at most"; 0 for counts that can't tell.

    Args:
        counts: of events, (bins,).
        share: of the reference, (bins,), above 0.
        clusters: of each bin, by how much dependence makes its count vary more than that of
            independent events, (bins,). v is the mean of these: Rao and Scott, Annals of
            Statistics 12 (1984).
        rows: independent ones of the reference; infinite where it is known exactly.
    """
    count = np.asarray(counts, np.float64)
    events = count.sum()
    if events == 0:
        return 0.0
    common = share * events / clusters >= _FEWEST
    if common.sum() < (1 if common.all() else 2) or common.sum() + (not common.all()) < 2:
        return 0.0
    groups = [np.append(each[common], each[~common].sum()) for each in (count, share)]
    if common.all():
        groups = [each[:-1] for each in groups]
    elif groups[1][-1] * events / clusters[~common].max() < _FEWEST:
        # What is rare in the reference can't be told apart by this test: its share is what it is.
        groups = [each[:-1] for each in groups]
        groups[1] = groups[1] / groups[1].sum()
    inflation = clusters[common].mean()
    effective = 1 / (inflation / events + 1 / rows)
    found = effective * psi(groups[0], groups[1])
    return float(ncx2.logsf(found, len(groups[0]) - 1, max(effective * delta, 1e-9)))
