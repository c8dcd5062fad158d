"""Time-aligned merge: partitions are read side by side, in the order of event time.

Features of an entity that is not the Kafka key need the events of several partitions, and label
features need two topics. Read as fast as they come, a partition could run days of event time ahead
of another during a replay, and windows would miss what lies between. So records wait in one queue
per partition until no other queue can bring an earlier one.

Live traffic does not wait: its partitions are milliseconds apart, and an answer is worth more than
those. Only *history*, events far behind the clock, is held up for a queue that has fallen silent,
and for no longer than `max_idle`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.base.section import Duration, Section
from streams.intake.partition_queue import NO_LIMIT, PartitionQueue


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
class MergedRecords:
    """Records taken from the queues, in their common order.

    Attributes:
        events: n event records.
        queues: the queue of each, as a position in `TimeMerge.queues`, shape (n,).
        numbers: TIME, OFFSET and ARRIVED of each, shape (3, n).
        labels: m label records.
        label_before: for each label the number of events before it, shape (m,).
    """

    events: list[Any]
    queues: NDArray[np.int64]
    numbers: NDArray[np.int64]
    labels: list[Any]
    label_before: NDArray[np.int64]


NOTHING = MergedRecords(
    [], np.empty(0, np.int64), np.empty((3, 0), np.int64), [], np.empty(0, np.int64)
)
"""No record is due."""


class TimeMerge:
    """Decides which queue's record is next, by merge time.

    Args:
        now_ms: the wall clock, UTC milliseconds; tells live events from history.
        id_of: the id of an item, of one type for all; orders events of the same time from
            different partitions.
        steady_ms: what waiting is measured by: a clock that nobody sets.
    """

    def __init__(
        self,
        settings: AlignmentSettings,
        now_ms: Callable[[], int],
        id_of: Callable[[Any], int | str],
        steady_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._settings = settings
        self._now_ms = now_ms
        self._id_of = id_of
        self._steady_ms = steady_ms
        self._queues: list[PartitionQueue] = []
        self._held_since: int | None = None

    @property
    def queues(self) -> list[PartitionQueue]:
        """The queues; merged records' `queues` count in this order."""
        return self._queues

    def set_queues(self, queues: Iterable[PartitionQueue]) -> None:
        """Replace all queues, after partitions came or went."""
        self._queues = list(queues)
        self._held_since = None

    @property
    def waiting(self) -> int:
        """How many records wait in all queues."""
        return sum(len(queue.items) for queue in self._queues)

    def take(self, limit: int) -> MergedRecords | None:
        """Take up to `limit` records that are due, or None if there are none.

        Removes them from their queues.
        """
        now = self._steady_ms()
        for queue in self._queues:
            if queue.spoke:
                queue.spoke, queue.quiet_since = False, now
        if not any(queue.items for queue in self._queues):
            self._held_since = None
            self._race_again_after_silence(now)
            return None
        counts = self._ready()
        if not any(counts):
            if self._held_since is None:
                self._held_since = now
            self._give_up_on_silent_queues(now, self._held_since)
            counts = self._ready()
        if not any(counts):
            return None
        self._held_since = None
        return self._merge([min(count, limit) for count in counts], limit)

    def _ready(self) -> list[int]:
        """How many records of each queue no other queue can precede."""
        queues = self._queues
        earliest = min(int(queue.merge_times[0]) for queue in queues if queue.items)
        live = earliest >= self._now_ms() - self._settings.live_within
        bounds = [
            NO_LIMIT if queue.idle or (live and queue.caught_up) else queue.reached
            for queue in queues
        ]
        labels_to = min(
            (bound for queue, bound in zip(queues, bounds, strict=True) if not queue.is_event),
            default=NO_LIMIT,
        )
        events_to = sorted(
            (bound, i)
            for i, (queue, bound) in enumerate(zip(queues, bounds, strict=True))
            if queue.is_event
        )
        lowest, holder = events_to[0]
        # The holder need not wait for itself, but ties with others are for the ids to decide.
        ahead = [queues[other].first_from(lowest) for _, other in events_to[1:]]
        to_holder = min([labels_to, *(bound for bound, _ in events_to[1:2]), *ahead])
        counts = [
            queue.before(to_holder if i == holder else min(labels_to, lowest))
            if queue.is_event
            else 0
            for i, queue in enumerate(queues)
        ]
        held = [
            int(queue.merge_times[count])
            for queue, count in zip(queues, counts, strict=True)
            if queue.is_event and count < queue.merge_times.size
        ]
        # Labels come before events of the same time, and after those of an earlier one.
        to_labels = min([lowest, *held])
        return [
            count
            if queue.is_event
            else int(np.searchsorted(queue.merge_times, to_labels, side="right"))
            for queue, count in zip(queues, counts, strict=True)
        ]

    def _give_up_on_silent_queues(self, now: int, held_since: int) -> None:
        for queue in self._queues:
            patience = self._settings.max_idle if queue.caught_up else self._settings.max_hold
            if now - max(held_since, queue.quiet_since) >= patience:
                queue.idle = True

    def _race_again_after_silence(self, now: int) -> None:
        """Wait for every queue anew once all of them have been silent: a burst starts unevenly."""
        if all(now - queue.quiet_since > self._settings.max_idle for queue in self._queues):
            for queue in self._queues:
                queue.idle = False

    def _merge(self, counts: list[int], limit: int) -> MergedRecords:
        queues = self._queues
        given = list(zip(queues, self._enough(counts, limit), strict=True))
        merge_times = np.concatenate([queue.merge_times[:count] for queue, count in given])
        which = np.repeat(np.arange(len(queues)), [count for _, count in given])
        is_event = np.array([queue.is_event for queue in queues])[which]
        items = list(chain.from_iterable(queue.items[:count] for queue, count in given))
        # Stable, so a queue's own order stands; labels come before events of the same time.
        order = np.lexsort((is_event, merge_times))
        self._order_ties(order, merge_times, which, is_event, items)
        order = order[:limit]
        which, is_event = which[order], is_event[order]
        numbers = np.concatenate([queue.numbers[:, :count] for queue, count in given], axis=1)
        events, labels = np.flatnonzero(is_event), np.flatnonzero(~is_event)
        merged = MergedRecords(
            events=list(map(items.__getitem__, order[events].tolist())),
            queues=which[events],
            numbers=numbers[:, order[events]],
            labels=list(map(items.__getitem__, order[labels].tolist())),
            label_before=np.searchsorted(events, labels),
        )
        for queue, count in zip(queues, np.bincount(which, minlength=len(queues)), strict=True):
            queue.drop(int(count))
        return merged

    def _enough(self, counts: list[int], limit: int) -> list[int]:
        """How many of each queue's first records there have to be to tell the first of them all."""
        if sum(counts) <= limit:
            return counts
        merge_times = [
            queue.merge_times[:count] for queue, count in zip(self._queues, counts, strict=True)
        ]
        latest = np.partition(np.concatenate(merge_times), limit - 1)[limit - 1]
        # All that queue at that time: their ids have yet to say which of them come first.
        return [int(np.searchsorted(each, latest, side="right")) for each in merge_times]

    def _order_ties(
        self,
        order: NDArray[np.intp],
        merge_times: NDArray[np.int64],
        which: NDArray[np.intp],
        is_event: NDArray[np.bool_],
        items: Sequence[object],
    ) -> None:
        """Put events of one time from several queues in the order of their ids, in place.

        Of the events at the front of each queue the one of the least id comes next, so none
        overtakes another of its queue: that is the order of the greatest id so far in its queue.
        """
        time, queue, event = merge_times[order], which[order], is_event[order]
        same_time = (time[1:] == time[:-1]) & event[:-1]
        same_queue_of_one = queue[1:] == queue[:-1]
        if not (several := same_time & ~same_queue_of_one).any():
            return
        group = np.concatenate(([0], np.cumsum(~same_time)))
        tied = np.zeros(len(order), np.bool_)  # by group
        tied[group[1:][several]] = True
        places = np.flatnonzero(tied[group])
        group, queue = group[places], queue[places]
        ids = list(map(self._id_of, map(items.__getitem__, order[places].tolist())))
        keys = np.array(ids, np.int64 if isinstance(ids[0], int) else object)
        _, rank = np.unique(keys, return_inverse=True)
        ends = (group[1:] != group[:-1]) | (queue[1:] != queue[:-1])
        # Lifted above all before it, a queue's run of ties is not reached by the greatest of those.
        lifted = np.concatenate(([0], np.cumsum(ends))) * len(ids)
        greatest = np.maximum.accumulate(lifted + rank) - lifted
        order[places] = order[places][np.lexsort((greatest, group))]
