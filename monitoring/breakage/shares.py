"""Has a share risen by more than the world does? Evidence that holds for small counts.

The share in the reference is known from a sample as well: its bound is that of Clopper and Pearson
(Biometrika 26, 1934), which errs once in 10,000 features. Against "the share is no more than what
`limit_above` allows" stands the e-value of `log_e_rate_above` (Howard et al., arXiv 1810.08240).
"""

import math

from scipy.special import betaincinv  # type: ignore[import-untyped]

from inference.shadow.statistics.guardrails import log_e_rate_above

SURE = math.log(1e6)
"""ln E from which on something is named: of 30 features a minute, .04 false names a day at most."""
_ERROR = 1e-4
_CERTAIN = 1 - 1e-9


def upper_share(count: int, total: int) -> float:
    """The most that a share can be of which ``count`` of ``total`` were seen; 1 for none."""
    if count >= total:
        return 1.0
    return float(betaincinv(count + 1, total - count, 1 - _ERROR))


def limit_above(count: int, total: int, *, times: float, least: float) -> float:
    """The share that is still ordinary: ``times`` the odds of the reference's, ``least`` at least.

    Odds, so that a share near 1 has a limit above it, too.
    """
    share = upper_share(count, total)
    odds = times * share / (1 - share) if share < 1 else math.inf
    return max(least, odds / (1 + odds) if odds < math.inf else 1.0)


def evidence_above(count: int, total: int, limit: float) -> float:
    """ln E that ``count`` of ``total`` is a share above the limit; 0 where it is not above."""
    if total == 0 or limit >= _CERTAIN or count <= limit * total:
        return 0.0
    return float(log_e_rate_above(count, total, limit))
