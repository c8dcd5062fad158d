"""The words that plans and kernels share: kinds of window groups, statistics, counters."""

from enum import IntEnum


class Group(IntEnum):
    """How a group of windows is scanned."""

    EVENTS = 0  # only counted: no scan
    SUMS = 1  # number and sum of values
    MOMENTS = 2  # extremes and squares of values
    DISTINCT = 3
    PRIOR = 4  # looks strictly before the event


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
    """Positions in an entity's counters."""

    USED = 0  # places of the arena handed out so far
    DROPPED = 1  # events that went from a full block into a tile
    NEWEST = 2  # latest event time; NEVER before the first
    EVICTED = 3  # entities that nothing needed any more
    SWEPT = 4  # slot at which the search for such entities goes on
    EVENTS = 5  # events of an entity so far
    LIVE = 6  # entities that have events
    OUSTED = 7  # entities that made room for others
    OUSTED_TO = 8  # latest event time of any of these; NEVER before the first
    FIRST = 9  # time of the first event; NEVER before it
    LABELS = 10  # labels that had to wait so far
    WAITING = 11  # labels that wait
    DROPPED_LABELS = 12  # labels that waited and made room for others
