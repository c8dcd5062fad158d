"""Time-aligned merge: partitions are read side by side, in the order of event time.

Features of an entity that is not the Kafka key need the events of several partitions, and label
features need two topics. Read as fast as they come, a partition could run days of event time ahead
of another during a replay, and windows would miss what lies between. So records wait in one lane
per partition until no other lane can bring an earlier one.

Live traffic does not wait: its partitions are milliseconds apart, and an answer is worth more than
those. Only *history*, events far behind the clock, is held up for a lane that has fallen silent,
and for no longer than `max_idle`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import merge
from operator import itemgetter
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.base.section import Duration, Section
from streams.intake.partition_queue import NO_LIMIT, Lane


def monotonic_ms() -> int:
    """Milliseconds on a clock that nobody sets."""
    return int(monotonic() * 1_000)


class AlignmentSettings(Section):
    """The ``[alignment]`` section.

    Attributes:
        max_idle: how long history waits for a partition that has nothing more to read.
        max_hold: how long it waits for one that has more, but does not deliver.
        live_within: events no further behind the clock than this are live and wait for nothing.
    """

    max_idle: Duration = 1_000
    max_hold: Duration = 30_000
    live_within: Duration = 60_000


@dataclass(frozen=True)
class Turn:
    """Records taken from the lanes, in their common order.

    Attributes:
        events: n event records.
        lanes: the lane of each, as a position in `Alignment.lanes`, shape (n,).
        numbers: TIME, OFFSET and ARRIVED of each, shape (3, n).
        labels: m label records.
        label_before: for each label the number of events before it, shape (m,).
    """

    events: list[Any]
    lanes: NDArray[np.int64]
    numbers: NDArray[np.int64]
    labels: list[Any]
    label_before: NDArray[np.int64]


NOTHING = Turn([], np.empty(0, np.int64), np.empty((3, 0), np.int64), [], np.empty(0, np.int64))
"""The turn of nobody."""


class Alignment:
    """Decides whose turn it is among the lanes.

    Args:
        now_ms: the wall clock, UTC milliseconds; tells live events from history.
        id_of: the id of an item; orders events of the same time from different partitions.
        steady_ms: what waiting is measured by: a clock that nobody sets.
    """

    def __init__(
        self,
        settings: AlignmentSettings,
        now_ms: Callable[[], int],
        id_of: Callable[[Any], Any],
        steady_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._settings = settings
        self._now_ms = now_ms
        self._id_of = id_of
        self._steady_ms = steady_ms
        self._lanes: list[Lane] = []
        self._held_since: int | None = None

    @property
    def lanes(self) -> list[Lane]:
        """The lanes; a turn's `lanes` count in this order."""
        return self._lanes

    def set_lanes(self, lanes: Iterable[Lane]) -> None:
        """Replace all lanes, after partitions came or went."""
        self._lanes = list(lanes)
        self._held_since = None

    @property
    def waiting(self) -> int:
        """How many records wait in all lanes."""
        return sum(len(lane.items) for lane in self._lanes)

    def take(self, limit: int) -> Turn | None:
        """Take up to `limit` records whose turn has come, or None if there are none.

        Removes them from their lanes.
        """
        now = self._steady_ms()
        for lane in self._lanes:
            if lane.spoke:
                lane.spoke, lane.quiet_since = False, now
        if not any(lane.items for lane in self._lanes):
            self._held_since = None
            self._race_again_after_silence(now)
            return None
        counts = self._ready()
        if not any(counts):
            if self._held_since is None:
                self._held_since = now
            self._give_up_on_silent_lanes(now, self._held_since)
            counts = self._ready()
        if not any(counts):
            return None
        self._held_since = None
        return self._merge([min(count, limit) for count in counts], limit)

    def _ready(self) -> list[int]:
        """How many records of each lane no other lane can precede."""
        lanes = self._lanes
        earliest = min(int(lane.turns[0]) for lane in lanes if lane.items)
        live = earliest >= self._now_ms() - self._settings.live_within
        bounds = [
            NO_LIMIT if lane.idle or (live and lane.caught_up) else lane.reached for lane in lanes
        ]
        labels_to = min(
            (bound for lane, bound in zip(lanes, bounds, strict=True) if not lane.is_event),
            default=NO_LIMIT,
        )
        events_to = sorted(
            (bound, i)
            for i, (lane, bound) in enumerate(zip(lanes, bounds, strict=True))
            if lane.is_event
        )
        lowest, holder = events_to[0]
        # The holder need not wait for itself, but ties with others are for the ids to decide.
        ahead = [lanes[other].first_from(lowest) for _, other in events_to[1:]]
        to_holder = min([labels_to, *(bound for bound, _ in events_to[1:2]), *ahead])
        counts = [
            lane.before(to_holder if i == holder else min(labels_to, lowest))
            if lane.is_event
            else 0
            for i, lane in enumerate(lanes)
        ]
        held = [
            int(lane.turns[count])
            for lane, count in zip(lanes, counts, strict=True)
            if lane.is_event and count < lane.turns.size
        ]
        # Labels come before events of the same time, and after those of an earlier one.
        to_labels = min([lowest, *held])
        return [
            count if lane.is_event else int(np.searchsorted(lane.turns, to_labels, side="right"))
            for lane, count in zip(lanes, counts, strict=True)
        ]

    def _give_up_on_silent_lanes(self, now: int, held_since: int) -> None:
        for lane in self._lanes:
            patience = self._settings.max_idle if lane.caught_up else self._settings.max_hold
            if now - max(held_since, lane.quiet_since) >= patience:
                lane.idle = True

    def _race_again_after_silence(self, now: int) -> None:
        """Wait for every lane anew once all of them have been silent: a burst starts unevenly."""
        if all(now - lane.quiet_since > self._settings.max_idle for lane in self._lanes):
            for lane in self._lanes:
                lane.idle = False

    def _merge(self, counts: list[int], limit: int) -> Turn:
        lanes = self._lanes
        given = list(zip(lanes, counts, strict=True))
        turns = np.concatenate([lane.turns[:count] for lane, count in given])
        which = np.repeat(np.arange(len(lanes)), counts)
        is_event = np.array([lane.is_event for lane in lanes])[which]
        within = np.concatenate([np.arange(count) for count in counts])
        # Stable, so a lane's own order stands; labels come before events of the same time.
        order = np.lexsort((is_event, turns))
        self._order_ties(order, turns, which, within, is_event)
        order = order[:limit]
        which, within, is_event = which[order], within[order], is_event[order]
        items = [
            lanes[lane].items[i] for lane, i in zip(which.tolist(), within.tolist(), strict=True)
        ]
        numbers = np.concatenate([lane.numbers[:, :count] for lane, count in given], axis=1)
        events, labels = np.flatnonzero(is_event), np.flatnonzero(~is_event)
        turn = Turn(
            events=[items[i] for i in events.tolist()] if labels.size else items,
            lanes=which[events],
            numbers=numbers[:, order[events]],
            labels=[items[i] for i in labels.tolist()],
            label_before=np.searchsorted(events, labels),
        )
        for lane, count in zip(lanes, np.bincount(which, minlength=len(lanes)), strict=True):
            lane.drop(int(count))
        return turn

    def _order_ties(
        self,
        order: NDArray[np.intp],
        turns: NDArray[np.int64],
        which: NDArray[np.intp],
        within: NDArray[np.intp],
        is_event: NDArray[np.bool_],
    ) -> None:
        """Put events of one time from several lanes in the order of their ids, in place."""
        ascending = turns[order]
        tied = (ascending[1:] == ascending[:-1]) & is_event[order[:-1]]
        tied &= which[order[1:]] != which[order[:-1]]
        for time in np.unique(ascending[:-1][tied]):
            low, high = np.searchsorted(ascending, [time, time + 1])
            low += np.count_nonzero(~is_event[order[low:high]])
            runs: dict[int, list[tuple[Any, int]]] = {}
            for place in order[low:high].tolist():
                lane = int(which[place])
                event_id = self._id_of(self._lanes[lane].items[within[place]])
                runs.setdefault(lane, []).append((event_id, place))
            order[low:high] = [place for _, place in merge(*runs.values(), key=itemgetter(0))]
