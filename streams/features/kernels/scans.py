"""Compiled: statistics of an event's windows, from the newest event of a block backwards.

A group's windows end at the same time `until` and ascend in length, so that one scan serves all.
A result depends on nothing but the events in its window: a replay gives the same bits, whatever
was trimmed or moved before.
"""

import numpy as np

from streams.features.kernels.blocks import upper_bound_from_newest
from streams.features.kernels.chunk_sums import sum_between
from streams.features.kernels.enums import Stat
from streams.features.kernels.keyed_mix import mix
from streams.features.kernels.numba_options import inlined, kernel

# Enum members as plain ints: numba compiles these, not attribute look-ups.
_EVENTS, _VALUES, _SUM, _MEAN, _MIN, _MAX = (int(stat) for stat in list(Stat)[:6])
_STD, _DISTINCT, _LAST, _SINCE = (int(stat) for stat in list(Stat)[6:10])

LONG = 1_024
"""Events of a window beyond which it is no longer added up one by one."""


@inlined
def scan_events(times, first, high, until, window_ms, rows, found):  # type: ignore[no-untyped-def]
    """Number of events."""
    low = high
    for w in range(rows[0], rows[1]):
        low = upper_bound_from_newest(times, first, low, until - window_ms[w])
        found[w, _EVENTS] = high - low


@inlined
def scan_sums(times, values, column, first, high, until, window_ms, rows, found):  # type: ignore[no-untyped-def]
    """Number of events, and number, sum and mean of their values."""
    n = 0
    total = 0.0
    position = high - 1
    for w in range(rows[0], rows[1]):
        after = until - window_ms[w]
        while position >= first and times[position] > after:
            value = values[column, position]
            position -= 1
            if not np.isnan(value):
                n += 1
                total += value
        found[w, _EVENTS] = high - 1 - position
        found[w, _VALUES] = n
        found[w, _SUM] = total if n else np.nan
        found[w, _MEAN] = total / n if n else np.nan


@kernel
def sum_long_windows(  # type: ignore[no-untyped-def]
    times, values, chunks, column, first, high, until, window_ms, rows, found
):
    """The same as `scan_sums`, but windows of more than `LONG` events from sums of chunks."""
    low = high
    for w in range(rows[0], rows[1]):
        low = upper_bound_from_newest(times, first, low, until - window_ms[w])
        if high - low > LONG:
            n, total = sum_between(values, chunks, column, low, high)
            if n >= 0:
                found[w, _EVENTS] = high - low
                found[w, _VALUES] = n
                found[w, _SUM] = total if n else np.nan
                found[w, _MEAN] = total / n if n else np.nan
                continue
        scan_sums(times, values, column, first, high, until, window_ms, (w, w + 1), found)


@inlined
def scan_moments(times, values, column, first, high, until, window_ms, rows, found):  # type: ignore[no-untyped-def]
    """Number and mean of the values, the least and the greatest, and the standard deviation.

    The variance is taken about the newest value, which every window holds: that keeps it exact
    where values are large and close together.
    """
    n = 0
    shift = 0.0
    about = 0.0
    squares = 0.0
    least = np.inf
    most = -np.inf
    position = high - 1
    for w in range(rows[0], rows[1]):
        after = until - window_ms[w]
        while position >= first and times[position] > after:
            value = values[column, position]
            position -= 1
            if np.isnan(value):
                continue
            if n == 0:
                shift = value
            n += 1
            away = value - shift
            about += away
            squares += away * away
            least = min(least, value)
            most = max(most, value)
        found[w, _VALUES] = n
        found[w, _MEAN] = shift + about / n if n else np.nan
        found[w, _MIN] = least if n else np.nan
        found[w, _MAX] = most if n else np.nan
        if n > 1:
            found[w, _STD] = np.sqrt(max(squares - about * about / n, 0.0) / (n - 1))
        else:
            found[w, _STD] = np.nan


@inlined
def scan_distinct(  # type: ignore[no-untyped-def]
    times, values, column, first, high, until, window_ms, rows, found, members, secret
):
    """Number of distinct values.

    Args:
        members: hash set of ``(value's bits, scan that put it there)``, never cleared, and one
            last row that counts the scans; int64 (2 ** k + 1, 2), 2 ** k >= 2 * (high - first).
    """
    epoch = members[members.shape[0] - 1, 1] + 1
    members[members.shape[0] - 1, 1] = epoch
    mask = 1
    while mask < 2 * (high - first):
        mask <<= 1
    mask -= 1
    n = 0
    position = high - 1
    for w in range(rows[0], rows[1]):
        after = until - window_ms[w]
        while position >= first and times[position] > after:
            value = values[column, position] + 0.0  # -0.0 becomes 0.0, which it is equal to
            position -= 1
            if np.isnan(value):
                continue
            bits = np.float64(value).view(np.int64)
            place = mix(bits, secret) & mask
            while members[place, 1] == epoch and members[place, 0] != bits:
                place = (place + 1) & mask
            if members[place, 1] != epoch:
                members[place, 1] = epoch
                members[place, 0] = bits
                n += 1
        found[w, _DISTINCT] = n if n else np.nan


@inlined
def look_before(times, values, column, first, position, window_ms, rows, found):  # type: ignore[no-untyped-def]
    """The latest value and the seconds since the latest event, strictly before the event."""
    time = times[position]
    before = position - 1
    latest = before
    if column >= 0:
        while latest >= first and np.isnan(values[column, latest]):
            latest -= 1
    for w in range(rows[0], rows[1]):
        after = time - window_ms[w]
        if before >= first and times[before] > after:
            found[w, _SINCE] = (time - times[before]) / 1000.0
        else:
            found[w, _SINCE] = np.nan
        if column >= 0 and latest >= first and times[latest] > after:
            found[w, _LAST] = values[column, latest]
        else:
            found[w, _LAST] = np.nan
