"""A stream watched against what it was like in the first days after its model's promotion.

These days are counted over the bins of the model's package, by the hour of the week where the
package knows hours; how dependent events are is the package's word, too. Then they are the
reference for good.
"""

import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inference.packages.drift_reference import HOURS, Histogram
from monitoring.counting.model_bins import ModelBins
from monitoring.counting.packed import pack, unpack
from monitoring.drift.detector import Detector, Moved, Watched
from monitoring.drift.reference import clusters_of, yardstick_of
from monitoring.drift.watched_record import decode_watched, encode_watched
from monitoring.episodes.kept import Kept
from monitoring.statistics.bets import shares

logger = logging.getLogger(__name__)

_WEEK = 7 * 86_400_000
_FEWEST = 500
"""Independent events that a reference is made of at least: of fewer, its noise would be called."""
_BEGAN, _COLLECTED, _WATCHED, _PENDING = "began", "collected", "watched", "pending"


class SincePromotion:
    """Watches one stream of a model, or a part of it.

    Args:
        kept: its place in the state.
        span: of event time that the reference is made of, ms; longer where there are too few
            events, and whole weeks where hours matter.
        delta: see `Yardstick`.
        log_alarm: see `Detector`.
        block: events at least that the detector is shown at once.
        stuck: whether it looks for values that come too often.

    Attributes:
        hours: that it tells apart; 1 where hours don't matter.
    """

    def __init__(
        self,
        kept: Kept,
        bins: ModelBins,
        *,
        span: int,
        delta: float,
        log_alarm: float,
        block: int,
        stuck: bool = True,
    ) -> None:
        self._kept = kept
        self._histograms = bins.histograms
        self._delta, self._log_alarm, self._block, self._stuck = delta, log_alarm, block, stuck
        seasonal = any(each.hours for each in self._histograms.values())
        self.hours = HOURS if seasonal else 1
        self._span = -(-span // _WEEK) * _WEEK if seasonal else span
        self._fewest = _FEWEST * _dependence(self._histograms)
        began = kept.get(_BEGAN)
        self._began = None if began is None else int(began)
        self._collected = np.zeros((self.hours, *bins.shape), np.int64)
        self._counted: set[int] = set()
        collected = kept.below(_COLLECTED)
        for name in collected.names():
            self._collected[int(name)] = unpack(collected.get(name) or b"", bins.shape)
        self._pending = np.zeros(bins.shape, np.int64)
        self._groups = np.zeros(self.hours, np.int64)
        self._detector: Detector | None = None
        self._watched: Watched | None = None
        if (watched := kept.get(_WATCHED)) is not None:
            self._watch(watched, 0)

    @property
    def events(self) -> int:
        """How many events the reference is made of so far."""
        return int(self._collected[:, 0].sum())

    def collect(self, start: int, hour: int, counts: NDArray[np.int64]) -> None:
        """Let a cell be part of the reference, as long as that is being made.

        Args:
            start: of the cell, ms.
            hour: of the week, or 0 where hours don't matter.
            counts: (features, bins).
        """
        if self._detector is None:
            self._began = start if self._began is None else self._began
            self._collected[hour] += counts
            self._counted.add(hour)

    def begin_anew(self) -> None:
        """Forget what was collected, unless the reference is made: it is of days in a row."""
        if self._detector is None and self._began is not None:
            self._began = None
            self._collected[:] = 0
            self._counted.update(range(self.hours))

    def step(
        self, counts: NDArray[np.int64], groups: NDArray[np.int64], end: int
    ) -> list[tuple[str, Moved]]:
        """Look at some cells together; what has moved, by name. See `Detector.step`."""
        if self._detector is None or self._watched is None:
            over = self._began is not None and end - self._began >= self._span
            if over and self.events >= self._fewest:
                self._watch(None, end)
            return []
        self._pending += counts
        self._groups += groups
        if self._groups.sum() < self._block:
            return []
        moved = self._detector.step(self._watched, self._pending, self._groups, end)
        self._pending[:] = 0
        self._groups[:] = 0
        names = list(self._histograms)
        return [(names[each.feature], each) for each in moved]

    @property
    def away(self) -> set[str]:
        """The features of which evidence says that they may be away."""
        if self._detector is None or self._watched is None:
            return set()
        return self._detector.suspected(self._watched)

    def effect(self, name: str) -> float:
        """The PSI of a feature since its evidence was weak, less what chance makes of it."""
        place = list(self._histograms).index(name)
        if self._detector is None or self._watched is None or not self._watched.groups[place].any():
            return 0.0
        moved = self._detector.moved(self._watched, (place,))
        degrees = len(moved.counts) - 1
        chance = degrees * clusters_of(self._histograms[name]).mean() / moved.events
        return max(moved.psi - float(chance), 0.0)

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        began = None if self._began is None else str(self._began).encode()
        self._kept.put(_BEGAN, began)
        for hour in self._counted:
            self._kept.below(_COLLECTED).put(f"{hour:03}", pack(self._collected[hour]))
        self._counted.clear()
        if self._watched is not None:
            self._kept.put(_WATCHED, encode_watched(self._watched))
            waiting = pack(self._pending) + self._groups.astype("<i8").tobytes()
            self._kept.put(_PENDING, waiting if self._groups.any() else None)

    def _watch(self, kept: bytes | None, time: int) -> None:
        """Watch from a time on, ms; or go on."""
        histograms = promoted(self._histograms, self._collected)
        yardstick = yardstick_of(histograms, self._delta, stuck=self._stuck)
        self._detector = Detector(yardstick, self._log_alarm)
        self._watched = Watched.begin(yardstick, time)
        if kept is None:
            return
        try:
            self._watched = decode_watched(kept, yardstick)
        except ValueError as error:
            logger.warning(
                "what is known since a promotion begins anew: it was kept by another version (%s)",
                error,
            )
            return
        if (pending := self._kept.get(_PENDING)) is not None:
            size = 8 * self.hours
            self._pending = unpack(pending[:-size], self._pending.shape)
            self._groups = np.frombuffer(pending[-size:], "<i8").astype(np.int64)


def promoted(
    histograms: Mapping[str, Histogram], collected: NDArray[np.int64]
) -> dict[str, Histogram]:
    """The histograms of a package with counts of later events in the place of its own.

    Args:
        collected: (hours, features, bins).
    """
    found = {}
    for place, (name, each) in enumerate(histograms.items()):
        own = collected[:, place, : len(each.counts)]
        hours = tuple(tuple(hour) for hour in own.tolist()) if each.hours else ()
        counts = tuple(own.sum(axis=0).tolist())
        found[name] = each.model_copy(update={"counts": counts, "hours": hours})
    return found


def _dependence(histograms: Mapping[str, Histogram]) -> float:
    """How many events count as one, of a middling feature."""
    each = [float(shares(np.array(one.counts)) @ clusters_of(one)) for one in histograms.values()]
    return float(np.median(each)) if each else 1.0
