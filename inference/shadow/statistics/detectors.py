"""A detector that watches for ever: Shiryaev-Roberts over e-values.

An e-process from the start saves up against a change that comes late: after 10,000 quiet events it
is twenty times slower than this. Here, for each bet,

    S_t = (S_{t-1} + 1) e_t,    S_0 = 0,    alarm where the mean of the S over bets is A or more,

and where nothing has changed, A events or more pass in the mean until an alarm: Shin, Ramdas and
Rinaldo, arXiv 2203.03532. For M streams watched at once, take A = M times the wanted events. When
an alarm ends is for the caller to say.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inference.shadow.statistics.several import log_mean_e


def watch(
    state: NDArray[np.float64], log_e: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the state after the last event, and ln of the mean S after each, (n, ...).

    Event by event, so that batches of any size give the same bits.

    Args:
        state: ln(1 + S), (..., K), all 0 at the start; axes before K are streams.
        log_e: log e-values of the events, in their order, (n, ..., K): such as
            `betting.log_factors` or `guardrails.log_rate_factors`.

    Raises:
        ValueError: shapes don't match.
    """
    factors = np.asarray(log_e, np.float64)
    if factors.shape[1:] != state.shape:
        raise ValueError(f"log e-values {factors.shape} must be (n, *{state.shape})")
    evidence = np.empty(factors.shape)
    for place, each in enumerate(factors):
        evidence[place] = state + each
        state = np.logaddexp(evidence[place], 0.0)
    return state, log_mean_e(evidence)
