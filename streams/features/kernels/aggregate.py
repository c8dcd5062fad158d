"""Compiled: from the windows of an event to its features."""

import numpy as np

from streams.features.kernels.blocks import upper_bound_from_newest
from streams.features.kernels.enums import Group, Stat
from streams.features.kernels.numba_options import inlined
from streams.features.kernels.scans import (
    LONG,
    look_before,
    scan_distinct,
    scan_events,
    scan_moments,
    scan_sums,
    sum_long_windows,
)

# Enum members as plain ints: numba compiles these, not attribute look-ups.
_EVENTS, _SUMS, _MOMENTS, _DISTINCT, _PRIOR = (int(group) for group in Group)
_VALUES, _MEAN, _RATIO = int(Stat.VALUES), int(Stat.MEAN), int(Stat.RATIO_TO_MEAN)


@inlined
def aggregate(  # type: ignore[no-untyped-def]
    times, values, chunks, first, end, position, groups, window_ms, found, members, secret
):
    """Fill `found` (windows, stats) for the event at `position` of a block ``first .. end``."""
    kinds, columns, delays, excludes, ranges = groups
    for g in range(kinds.size):
        rows = (ranges[g, 0], ranges[g, 1])
        if kinds[g] == _PRIOR:
            look_before(times, values, columns[g], first, position, window_ms, rows, found)
            continue
        until = times[position] - delays[g]
        if delays[g]:
            high = upper_bound_from_newest(times, first, end, until)
        else:
            high = position if excludes[g] else position + 1
        if kinds[g] == _EVENTS:
            scan_events(times, first, high, until, window_ms, rows, found)
        elif kinds[g] == _SUMS and high - first > LONG:
            sum_long_windows(
                times, values, chunks, columns[g], first, high, until, window_ms, rows, found
            )
        elif kinds[g] == _SUMS:
            scan_sums(times, values, columns[g], first, high, until, window_ms, rows, found)
        elif kinds[g] == _MOMENTS:
            scan_moments(times, values, columns[g], first, high, until, window_ms, rows, found)
        else:
            scan_distinct(
                times,
                values,
                columns[g],
                first,
                high,
                until,
                window_ms,
                rows,
                found,
                members,
                secret,
            )


@inlined
def write(found, outputs, values, position, out, event):  # type: ignore[no-untyped-def]
    """Write each output's statistic to its place in the feature vector."""
    windows, stats, features, empties, columns = outputs
    for o in range(windows.size):
        if stats[o] == _RATIO:
            mean = found[windows[o], _MEAN]
            value = values[columns[o], position] / mean if mean != 0.0 else np.nan
        else:
            value = found[windows[o], stats[o]]
            if stats[o] <= _VALUES and value == 0.0:
                value = np.nan
        out[event, features[o]] = empties[o] if np.isnan(value) else value
