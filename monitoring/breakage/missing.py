"""Values that went missing, or that are there where they used to be missing.

A feature may be missing often, and more often at night: so the share has to leave what three times
the reference's odds allow, in either direction, and be half a percent at least.
"""

from typing import NamedTuple

from monitoring.breakage.magnitudes import NAN, Counts
from monitoring.breakage.shares import SURE, evidence_above, limit_above

TIMES = 3.0
LEAST = 0.005


class Missing(NamedTuple):
    """A share of missing values that moved.

    Attributes:
        share, before: of the values that are missing, now and in the reference.
        log_e: the evidence, of more where ``share`` is above ``before``, else of fewer.
    """

    share: float
    before: float
    log_e: float


def missing_change(reference: Counts, now: Counts) -> Missing | None:
    """Say whether many more, or many fewer, values are ``NaN`` than in the reference."""
    missing, total = int(now[NAN]), int(now.sum())
    used_to, of = int(reference[NAN]), int(reference.sum())
    if not total or not of:
        return None
    more = evidence_above(missing, total, limit_above(used_to, of, times=TIMES, least=LEAST))
    fewer_limit = limit_above(of - used_to, of, times=TIMES, least=LEAST)
    fewer = evidence_above(total - missing, total, fewer_limit)
    if max(more, fewer) < SURE:
        return None
    return Missing(missing / total, used_to / of, max(more, fewer))
