"""Compiled kernels: exact sliding windows over each entity's own events.

Every entity owns one block of an arena: its remembered events, contiguous and ascending in time,
``start .. start + length`` of ``capacity``. A window is then two binary searches, and its
statistics one scan from the newest event backwards. Because they depend on nothing but the events
in the window, a replay gives the same bits, whatever was trimmed or moved before.
"""

from enum import IntEnum

import numpy as np
from numba import njit


class Group(IntEnum):
    """How a group of windows is scanned."""

    EVENTS = 0  # only counted: no scan
    VALUES = 1
    DISTINCT = 2
    PRIOR = 3  # looks strictly before the event


class Stat(IntEnum):
    """What an output reads of its window; also the column of the scan's result."""

    EVENTS = 0
    VALUES = 1
    SUM = 2
    MEAN = 3
    MIN = 4
    MAX = 5
    STD = 6
    DISTINCT = 7
    LAST = 8
    TIME_SINCE = 9
    RATIO_TO_MEAN = 10


class Counter(IntEnum):
    """Positions in the arena's counters."""

    USED = 0  # places of the arena handed out so far
    DROPPED = 1  # events that a full block had to forget


STATS = len(Stat)
_EMPTY, _LABEL_FIRST, _FRAUD_FIRST = -2, -1, -3

# Enum members as plain ints: numba compiles these, not attribute look-ups.
_EVENTS, _VALUES, _DISTINCT, _PRIOR = (int(group) for group in Group)
_S_EVENTS, _S_VALUES, _S_SUM, _S_MEAN, _S_MIN, _S_MAX = (int(stat) for stat in list(Stat)[:6])
_S_STD, _S_DISTINCT, _S_LAST, _S_SINCE, _S_RATIO = (int(stat) for stat in list(Stat)[6:])
_USED, _DROPPED = (int(counter) for counter in Counter)


@njit(cache=True, nogil=True)
def _upper_bound(times, low, high, time):  # type: ignore[no-untyped-def]
    """First position in ``low .. high`` whose time is later than `time`."""
    while low < high:
        middle = (low + high) >> 1
        if times[middle] <= time:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _move(times, values, hashes, source, target, length):  # type: ignore[no-untyped-def]
    """Move remembered events within the arena; `target` may overlap `source` from below."""
    for i in range(length):
        times[target + i] = times[source + i]
        for column in range(values.shape[0]):
            values[column, target + i] = values[column, source + i]
        if hashes.size:
            hashes[target + i] = hashes[source + i]


@njit(cache=True, nogil=True)
def _make_room(arena, blocks, free, counters, slot, max_events):  # type: ignore[no-untyped-def]
    """Make sure that one more event fits behind a block's last; False when the arena is full."""
    times, values, hashes = arena
    offset, capacity, start, length = blocks[slot]
    if length >= max_events:
        start += 1
        length -= 1
        blocks[slot, 2] = start
        blocks[slot, 3] = length
        counters[_DROPPED] += 1
    if start + length < capacity:
        return True
    # Moving down only when half the block is free keeps the cost per event constant.
    if capacity and length <= capacity // 2:
        _move(times, values, hashes, offset + start, offset, length)
        blocks[slot, 2] = 0
        blocks[slot, 3] = length
        return True
    size_class = 2
    while (1 << size_class) <= capacity:
        size_class += 1
    larger = 1 << size_class
    if free[size_class] >= 0:
        target = free[size_class]
        free[size_class] = times[target]
    else:
        target = counters[_USED]
        if target + larger > times.size:
            return False
        counters[_USED] = target + larger
    _move(times, values, hashes, offset + start, target, length)
    if capacity:
        old_class = size_class - 1
        times[offset] = free[old_class]
        free[old_class] = offset
    blocks[slot, 0] = target
    blocks[slot, 1] = larger
    blocks[slot, 2] = 0
    blocks[slot, 3] = length
    return True


@njit(cache=True, nogil=True)
def _insert(arena, blocks, slot, time, row, event_hash, keep_ms):  # type: ignore[no-untyped-def]
    """Put an event in its place in time, forget what no window can reach; its position."""
    times, values, hashes = arena
    offset, _, start, length = blocks[slot]
    end = offset + start + length
    position = _upper_bound(times, offset + start, end, time)
    for i in range(end, position, -1):
        times[i] = times[i - 1]
        for column in range(values.shape[0]):
            values[column, i] = values[column, i - 1]
        if hashes.size:
            hashes[i] = hashes[i - 1]
    times[position] = time
    for column in range(values.shape[0]):
        values[column, position] = row[column]
    if hashes.size:
        hashes[position] = event_hash
    end += 1
    oldest = times[end - 1] - keep_ms
    first = offset + start
    # The event itself stays, however late it is: it is in its own windows.
    while first < position and times[first] <= oldest:
        first += 1
    blocks[slot, 2] = first - offset
    blocks[slot, 3] = end - first
    return position


@njit(cache=True, nogil=True)
def _index_place(keys, slots, key):  # type: ignore[no-untyped-def]
    """Where a key stands, or would stand, in the open-addressing index of event ids."""
    mask = keys.size - 1
    place = (key * -7046029254386353131 >> 20) & mask
    while slots[place] != _EMPTY and keys[place] != key:
        place = (place + 1) & mask
    return place


@njit(cache=True, nogil=True)
def _apply_label(arena, blocks, index, label_column, event_hash, label, now):  # type: ignore[no-untyped-def]
    """Write a label to the event that it is about; 1 when the index gained an entry.

    A label that comes before its event waits in the index.
    """
    times, values, hashes = arena
    keys, slots, seen = index
    place = _index_place(keys, slots, event_hash)
    slot = slots[place]
    if slot < 0:
        added = 1 if slot == _EMPTY else 0
        keys[place] = event_hash
        slots[place] = _FRAUD_FIRST if label > 0 else _LABEL_FIRST
        seen[place] = now
        return added
    offset, _, start, length = blocks[slot]
    first = offset + start
    position = _upper_bound(times, first, first + length, seen[place]) - 1
    while position >= first and times[position] == seen[place]:
        if hashes[position] == event_hash:
            values[label_column, position] = label
            break
        position -= 1
    return 0


@njit(cache=True, nogil=True)
def _scan_values(values, low_bounds, low, high, first_window, found):  # type: ignore[no-untyped-def]
    """Statistics of ``values[low_bounds[w] .. high]`` for ascending windows, newest first.

    The variance is taken about the newest value, which every window holds: that keeps it exact
    where values are large and close together.
    """
    n = 0
    total = 0.0
    shift = 0.0
    about = 0.0
    squares = 0.0
    least = np.inf
    most = -np.inf
    position = high - 1
    for w in range(low_bounds.size):
        while position >= low_bounds[w]:
            value = values[position]
            position -= 1
            if np.isnan(value):
                continue
            if n == 0:
                shift = value
            n += 1
            total += value
            away = value - shift
            about += away
            squares += away * away
            least = min(least, value)
            most = max(most, value)
        row = first_window + w
        found[row, _S_VALUES] = n
        found[row, _S_SUM] = total if n else np.nan
        found[row, _S_MEAN] = total / n if n else np.nan
        found[row, _S_MIN] = least if n else np.nan
        found[row, _S_MAX] = most if n else np.nan
        if n > 1:
            found[row, _S_STD] = np.sqrt(max(squares - about * about / n, 0.0) / (n - 1))
        else:
            found[row, _S_STD] = np.nan


@njit(cache=True, nogil=True)
def _scan_distinct(values, low_bounds, high, first_window, found, scratch):  # type: ignore[no-untyped-def]
    """Number of distinct values for ascending windows, with a hash set that is never cleared."""
    members, stamps, epoch = scratch
    epoch[0] += 1
    mask = 1
    while mask < 2 * (high - low_bounds[low_bounds.size - 1]):
        mask <<= 1
    mask -= 1
    n = 0
    position = high - 1
    for w in range(low_bounds.size):
        while position >= low_bounds[w]:
            value = values[position]
            position -= 1
            if np.isnan(value):
                continue
            place = (hash(value) * -7046029254386353131 >> 20) & mask
            while stamps[place] == epoch[0] and members[place] != value:
                place = (place + 1) & mask
            if stamps[place] != epoch[0]:
                stamps[place] = epoch[0]
                members[place] = value
                n += 1
        found[first_window + w, _S_DISTINCT] = n if n else np.nan


@njit(cache=True, nogil=True)
def _look_before(times, column, window_ms, first, position, time, first_window, found):  # type: ignore[no-untyped-def]
    """The latest value and the time since the latest event, strictly before the event."""
    for w in range(window_ms.size):
        row = first_window + w
        found[row, _S_LAST] = np.nan
        found[row, _S_SINCE] = np.nan
        before = position - 1
        if before >= first and times[before] > time - window_ms[w]:
            found[row, _S_SINCE] = (time - times[before]) / 1000.0
        if column.size:
            while before >= first and times[before] > time - window_ms[w]:
                if not np.isnan(column[before]):
                    found[row, _S_LAST] = column[before]
                    break
                before -= 1


@njit(cache=True, nogil=True)
def _aggregate(arena, block, position, time, groups, window_ms, found, bounds, scratch):  # type: ignore[no-untyped-def]
    """Fill `found` (windows, stats) for the event at `position` of an entity's block."""
    times, values, _ = arena
    kinds, columns, delays, excludes, ranges = groups
    first = block[0] + block[2]
    end = first + block[3]
    for g in range(kinds.size):
        low_window, high_window = ranges[g]
        windows = window_ms[low_window:high_window]
        if kinds[g] == _PRIOR:
            column = values[columns[g]] if columns[g] >= 0 else values[0, :0]
            _look_before(times, column, windows, first, position, time, low_window, found)
            continue
        if delays[g]:
            high = _upper_bound(times, first, end, time - delays[g])
        else:
            high = position if excludes[g] else position + 1
        low = high
        for w in range(windows.size):
            low = _upper_bound(times, first, low, time - delays[g] - windows[w])
            bounds[w] = low
            found[low_window + w, _S_EVENTS] = high - low
        if kinds[g] == _VALUES:
            _scan_values(values[columns[g]], bounds[: windows.size], low, high, low_window, found)
        elif kinds[g] == _DISTINCT:
            column = values[columns[g]]
            _scan_distinct(column, bounds[: windows.size], high, low_window, found, scratch)


@njit(cache=True, nogil=True)
def _write(found, outputs, current, out):  # type: ignore[no-untyped-def]
    """Write each output's statistic to its place in the feature vector."""
    windows, stats, features, empties, columns = outputs
    for o in range(windows.size):
        if stats[o] == _S_RATIO:
            mean = found[windows[o], _S_MEAN]
            value = current[columns[o]] / mean if mean != 0.0 else np.nan
        else:
            value = found[windows[o], stats[o]]
            if stats[o] <= _S_VALUES and value == 0.0:
                value = np.nan
        out[features[o]] = empties[o] if np.isnan(value) else value


@njit(cache=True, nogil=True)
def update_entity(  # type: ignore[no-untyped-def]
    first_event,
    first_label,
    events,
    labels,
    arena,
    blocks,
    free,
    counters,
    index,
    plan,
    limits,
    scratch,
    out,
):
    """Take events, and the labels that come before each of them, into one entity's windows.

    Args:
        first_event, first_label: where to go on after the arena was enlarged.
        events: ``(slots int64 (n,), times int64 (n,), rows float64 (columns, n), hashes int64
            (n,))``; slot -1 is an event without this entity: its windows are empty.
        labels: ``(hashes int64 (m,), values float64 (m,), before int64 (m,))``; label k becomes
            known just before event ``before[k]``, ascending.
        arena, blocks, free, counters, index: the entity's state, changed in place.
        plan: ``(groups, window_ms, outputs, label_column)``.
        limits: ``(keep_ms, max_events)``.
        scratch: ``(found, bounds, distinct)``, work space.
        out: float64 (n, features), written in the columns of this plan's outputs.

    Returns:
        ``(event, label, entries)``: positions reached (n and m when all is done, earlier when
        the arena must be enlarged first) and how many entries the id index gained.
    """
    slots, times, rows, hashes = events
    label_hashes, label_values, label_before = labels
    groups, window_ms, outputs, label_column = plan
    keep_ms, max_events = limits
    found, bounds, distinct = scratch
    row = np.empty(rows.shape[0], np.float64)
    entries = 0
    label = first_label
    for i in range(first_event, slots.size + 1):
        now = times[min(i, slots.size - 1)] if slots.size else 0
        while label < label_hashes.size and label_before[label] <= i:
            if label_column >= 0:
                entries += _apply_label(
                    arena, blocks, index, label_column, label_hashes[label], label_values[label],
                    now,
                )  # fmt: skip
            label += 1
        if i == slots.size:
            break
        slot = slots[i]
        if slot < 0:
            for o in range(outputs[2].size):
                out[i, outputs[2][o]] = outputs[3][o]
            continue
        if not _make_room(arena, blocks, free, counters, slot, max_events):
            return i, label, entries
        for column in range(row.size):
            row[column] = rows[column, i]
        if label_column >= 0:
            keys, index_slots, seen = index
            place = _index_place(keys, index_slots, hashes[i])
            if index_slots[place] == _EMPTY:
                entries += 1
            row[label_column] = 1.0 if index_slots[place] == _FRAUD_FIRST else 0.0
            keys[place] = hashes[i]
            index_slots[place] = slot
            seen[place] = times[i]
        position = _insert(arena, blocks, slot, times[i], row, hashes[i], keep_ms)
        _aggregate(
            arena, blocks[slot], position, times[i], groups, window_ms, found, bounds, distinct
        )
        _write(found, outputs, row, out[i])
    return slots.size, label, entries


@njit(cache=True, nogil=True)
def rebuild_index(old_keys, old_slots, old_seen, keys, slots, seen, oldest):  # type: ignore[no-untyped-def]
    """Copy the index of event ids, without what no window can reach; how many entries stay."""
    entries = 0
    for i in range(old_keys.size):
        if old_slots[i] != _EMPTY and old_seen[i] > oldest:
            place = _index_place(keys, slots, old_keys[i])
            keys[place] = old_keys[i]
            slots[place] = old_slots[i]
            seen[place] = old_seen[i]
            entries += 1
    return entries
