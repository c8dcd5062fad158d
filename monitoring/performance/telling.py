"""Tells the monitor's second stage of days that are over, and of days that are mature: once each.

What comes for a day after it was told is in the store, and in no evidence.
"""

from dataclasses import replace

from monitoring.counting.cell_counts import ENCODE, CohortDays, DayCohort
from monitoring.performance.cohorts.cohort import DAY, cohort_bytes
from monitoring.performance.join import PerformanceJoin


def tell(partition: int, join: PerformanceJoin) -> list[bytes]:
    """Records on what has become whole since the last time; a day each, so that none is large."""
    before = join.progress
    if before.reached is None:
        return []
    over = max(before.reached // DAY, before.over)
    mature = before.mature if before.matured is None else max(before.matured // DAY, before.mature)
    if (over, mature) == (before.over, before.mature):
        return []
    found: dict[tuple[bool, int], list[DayCohort]] = {}
    for key, cohort in sorted(join.cohorts.items(), key=lambda each: each[0]):
        for is_mature, first, end in ((False, before.over, over), (True, before.mature, mature)):
            if first <= key.day < end:
                found.setdefault((is_mature, key.day), []).append(
                    DayCohort(*key, is_mature, cohort_bytes(cohort))
                )
    join.progress = replace(before, over=over, mature=mature)
    days = [CohortDays(partition, before.over, before.mature, each) for each in found.values()]
    return [ENCODE(each) for each in (*days, CohortDays(partition, over, mature))]
