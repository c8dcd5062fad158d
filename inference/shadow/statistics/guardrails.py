"""Guardrails of a canary, since its step began: rates over a limit, latency, volumes, the split.

Each is an e-process: E >= 1/alpha has a probability of alpha at most over all looks together. They
ask about the whole time since they began; what is watched for ever belongs to `detectors`, which
`log_rate_factors` feeds.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, gammaln, xlogy  # type: ignore[import-untyped]

from inference.shadow.statistics.beta import log_betainc

STRENGTH = 50.0
"""How many events the prior of a rate weighs."""
SPLIT_STRENGTH = 100.0
SPLIT_BROKEN = 10_000.0
"""E from which on a split is broken, and verdicts on it are void."""
SLOW_SHARE = 0.01
"""The limit for the share of events beyond `latency_bound`."""
_SLACK = 1.05
_WORSE = np.geomspace(1.25, 20, 8)
"""Odds, in those of the limit, that `log_rate_factors` bets on."""


def log_e_rate_above(events: ArrayLike, total: ArrayLike, limit: float) -> NDArray[np.float64]:
    """Log of the e-value against "the rate is ``limit`` at most", of the counts' shape.

    x of n events, p0 the limit, a = 50 p0, b = 50 (1 - p0), a Beta(a, b) prior truncated to p > p0:

        ln E = ln B(a+x, b+n-x) + ln I_(1-p0)(b+n-x, a+x) - ln B(a, b) - ln I_(1-p0)(b, a)
               - x ln p0 - (n-x) ln(1-p0)

    Howard, Ramdas, McAuliffe and Sekhon, arXiv 1810.08240, of proportions.

    Raises:
        ValueError: not 0 <= events <= total, or the limit is not in (0, 1).
    """
    if not 0 < limit < 1:
        raise ValueError(f"limit = {limit} must lie in (0, 1)")
    x, n = np.broadcast_arrays(np.asarray(events, np.float64), np.asarray(total, np.float64))
    if (x < 0).any() or (x > n).any():
        raise ValueError("events must be 0 at least, and total at most")
    a, b = STRENGTH * limit, STRENGTH * (1 - limit)
    prior = betaln(a, b) + log_betainc(b, a, 1 - limit)
    posterior = betaln(a + x, b + n - x) + log_betainc(b + n - x, a + x, 1 - limit)
    return np.asarray(posterior - prior - xlogy(x, limit) - (n - x) * np.log1p(-limit))


def log_rate_factors(events: ArrayLike, total: ArrayLike, limit: float) -> NDArray[np.float64]:
    """Log e-values of batches against "the rate is ``limit`` at most", (n,) to (n, K).

    x ln(p1/p0) + (n-x) ln((1-p1)/(1-p0)) for K rates p1 above the limit: each a factor of its own
    e-process, whatever the batches' sizes.

    Raises:
        ValueError: as for `log_e_rate_above`.
    """
    if not 0 < limit < 1:
        raise ValueError(f"limit = {limit} must lie in (0, 1)")
    x, n = np.asarray(events, np.float64), np.asarray(total, np.float64)
    if (x < 0).any() or (x > n).any():
        raise ValueError("events must be 0 at least, and total at most")
    odds = _WORSE * limit / (1 - limit)
    rates = odds / (1 + odds)
    return np.asarray(
        x[:, None] * np.log(rates / limit)
        + (n - x)[:, None] * (np.log1p(-rates) - np.log1p(-limit))
    )


def latency_bound(champion_ms: ArrayLike) -> float:
    """1.05 times the champion's p99 of a span, in ms; an arm's events above it count as slow.

    Of both arms, take the same span: a spike of load slows both. The p99 is the order statistic
    that one of a hundred further events exceeds in expectation, so that the share of slow events of
    an equal arm is `SLOW_SHARE` at most; infinite for fewer than 99 events, which have none.

    Take spans of 1,000 of the champion's events and more: its p99 is a guess, and the canary's
    events of a span share it. With 100 in each arm, 5 to 9 % of runs raise false alarms at
    alpha = .05; with 1,000, 2 % and fewer.
    """
    values = np.sort(np.asarray(champion_ms, np.float64))
    place = math.ceil((1 - SLOW_SHARE) * (len(values) + 1))
    return _SLACK * float(values[place - 1]) if place <= len(values) else math.inf


def log_e_more(
    canary: ArrayLike, control: ArrayLike, share: float, ratio: float
) -> NDArray[np.float64]:
    """Log of the e-value against "the canary has ``ratio`` times its part at most", as of alerts.

    Of x + y events, x are the canary's: a rate over p0 = share r / (share r + 1 - share). For the
    lower end of a band, swap the arms, and give 1 - share.

    Args:
        canary: x, of any shape.
        control: y.
        share: the canary's share of the traffic.
        ratio: r, how many times the control's rate is let pass.

    Raises:
        ValueError: as for `log_e_rate_above`.
    """
    canary, control = np.asarray(canary, np.float64), np.asarray(control, np.float64)
    limit = share * ratio / (share * ratio + 1 - share)
    return log_e_rate_above(canary, canary + control, limit)


def log_e_split(counts: ArrayLike, shares: ArrayLike) -> NDArray[np.float64]:
    """Log of the e-value against "keys fall on arms by these shares"; counts (..., arms) to (...).

    Dirichlet-multinomial, with α = 100 shares: of n keys, x on each arm,

        ln E = Σ lnΓ(α + x) - lnΓ(100 + n) - Σ lnΓ(α) + lnΓ(100) - Σ x ln(share)

    Lindon and Malek, arXiv 2011.03567. Count keys, not events: events of a key go together.

    Raises:
        ValueError: shares are not above 0 with a sum of 1, or a count is below 0.
    """
    x, share = np.asarray(counts, np.float64), np.asarray(shares, np.float64)
    if (share <= 0).any() or abs(share.sum() - 1) > 1e-9 or (x < 0).any():
        raise ValueError(f"shares {share} must be above 0 and sum to 1, counts 0 at least")
    prior = SPLIT_STRENGTH * share
    gained = gammaln(prior + x) - gammaln(prior) - x * np.log(share)
    whole = gammaln(SPLIT_STRENGTH + x.sum(axis=-1)) - gammaln(SPLIT_STRENGTH)
    return np.asarray(gained.sum(axis=-1) - whole)
