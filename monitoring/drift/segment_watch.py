"""Segments of a stream, each watched against its own first days.

A segment is what has one value of a field, such as ``country=DE``. Those that come most in the
first days are watched, and the rest of a field together; from then on, which they are never
changes. A segment differs from the whole, so it is never compared with that.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitoring.counting.model_bins import ModelBins
from monitoring.counting.segments import MOST, OTHERS, Segments
from monitoring.drift.detector import Moved
from monitoring.drift.finding import Finding, named
from monitoring.drift.since_promotion import SincePromotion
from monitoring.episodes.kept import Kept
from monitoring.settings import MonitorSettings

_FINDING = 1 / 10
"""Of the span of the first days: so long it is found out which values come most."""
_FEWEST = 1_000
"""Events that this takes at least."""
_COMMON = 0.01
"""Share of the events that a value has at least, to be watched by itself."""
_OWN = 2.0
"""Times the effect on all events: of less, a segment has no change of its own."""
_VALUES, _SEEN = "values", "seen"

_SEEN_DECODER = msgspec.msgpack.Decoder(tuple[int, dict[str, int]])
_VALUES_DECODER = msgspec.msgpack.Decoder(list[str])


class SegmentWatch:
    """Watches the values of all fields that `settings` name.

    Args:
        kept: its place in the state.
        log_alarm: see `Detector`; for all segments together.
        block: see `SincePromotion`.
    """

    def __init__(
        self, kept: Kept, bins: ModelBins, settings: MonitorSettings, log_alarm: float, block: int
    ) -> None:
        several = len(settings.segments) * (settings.segment_values + 1)
        log_alarm += float(np.log(max(several, 1)))
        self._fields = [
            _Field(name, kept.below(name), bins, settings, log_alarm, block)
            for name in settings.segments
        ]

    def collect(self, start: int, hour: int, segments: Segments) -> None:
        """Take in a cell.

        Args:
            start: of the cell, ms.
            hour: of the week, or 0 where hours don't matter.
        """
        for field in self._fields:
            if found := segments.get(field.name):
                field.collect(start, hour, found)

    def begin_anew(self) -> None:
        """See `SincePromotion.begin_anew`."""
        for field in self._fields:
            for stream in field.streams.values():
                stream.begin_anew()

    def step(self, whole: SincePromotion, end: int) -> list[Finding]:
        """Look at the cells since the last step; what has moved in a segment by itself.

        Where a feature moves in all events, it does so in each segment. So one is named only where
        its effect is more than twice that on all events.
        """
        found = []
        for field in self._fields:
            for label, stream, moved in field.step(end):
                name = moved[0]
                if stream.effect(name) > _OWN * whole.effect(name):
                    found.append(Finding(name, "promotion", moved[1], label))
        return found

    @property
    def away(self) -> set[str]:
        """What may be away, as an episode calls it."""
        return {
            named(feature, label)
            for field in self._fields
            for label, stream in field.streams.items()
            for feature in stream.away
        }

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        for field in self._fields:
            field.write()


class _Field:
    """The values of one field: found first, then watched.

    Attributes:
        streams: of each segment, by what an episode calls it; empty while they are being found.
    """

    def __init__(
        self,
        name: str,
        kept: Kept,
        bins: ModelBins,
        settings: MonitorSettings,
        log_alarm: float,
        block: int,
    ) -> None:
        self.name = name
        self.streams: dict[str, SincePromotion] = {}
        self._kept, self._bins, self._settings = kept, bins, settings
        self._log_alarm, self._block = log_alarm, block
        self._values: list[str] = []
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._hours: dict[str, dict[int, int]] = {}
        self._began, self._seen = 0, dict[str, int]()
        if (values := kept.get(_VALUES)) is not None:
            self._watch(_VALUES_DECODER.decode(values))
        elif (seen := kept.get(_SEEN)) is not None:
            self._began, self._seen = _SEEN_DECODER.decode(seen)

    def collect(self, start: int, hour: int, found: dict[str, NDArray[np.int64]]) -> None:
        """Take in the counts of a cell by value."""
        if not self.streams:
            self._began = self._began or start
            for value, counts in found.items():
                self._seen[value] = self._seen.get(value, 0) + int(counts[0].sum())
            while len(self._seen) > MOST:
                del self._seen[min(self._seen, key=lambda value: (self._seen[value], value))]
            return
        rest = [value for value in found if value not in self._values]
        parts = {value: [value] for value in self._values if value in found} | {OTHERS: rest}
        for value, of in parts.items():
            if of:
                label = self._label(value)
                counts = np.sum([found[each] for each in of], axis=0)
                self.streams[label].collect(start, hour, counts)
                self._counts[label] = self._counts.get(label, 0) + counts
                hours = self._hours.setdefault(label, {})
                hours[hour] = hours.get(hour, 0) + int(counts[0].sum())

    def step(self, end: int) -> list[tuple[str, SincePromotion, tuple[str, Moved]]]:
        """What has moved: segment, its stream, and the feature with its change."""
        if not self.streams:
            events = sum(self._seen.values())
            span = self._settings.promotion_span * _FINDING
            if events >= _FEWEST and end - self._began >= span:
                common = [
                    value
                    for value, count in self._seen.items()
                    if value != OTHERS and count >= _COMMON * events
                ]
                common.sort(key=lambda value: (-self._seen[value], value))
                self._watch(common[: self._settings.segment_values])
            return []
        found = []
        for label, stream in self.streams.items():
            groups = np.zeros(stream.hours, np.int64)
            for hour, events in self._hours.get(label, {}).items():
                groups[hour] = events
            counts = self._counts.get(label, np.zeros(self._bins.shape, np.int64))
            found += [(label, stream, moved) for moved in stream.step(counts, groups, end)]
        self._counts, self._hours = {}, {}
        return found

    def write(self) -> None:
        """Write down what has changed."""
        if not self.streams:
            if self._seen:
                self._kept.put(_SEEN, msgspec.msgpack.encode((self._began, self._seen)))
            return
        self._kept.put(_SEEN, None)
        self._kept.put(_VALUES, msgspec.msgpack.encode(self._values))
        for stream in self.streams.values():
            stream.write()

    def _watch(self, values: list[str]) -> None:
        settings = self._settings
        self._values = values
        for place, value in enumerate((*values, OTHERS)):
            self.streams[self._label(value)] = SincePromotion(
                self._kept.below("stream", f"{place:03}"),
                self._bins,
                span=settings.promotion_span,
                delta=settings.delta,
                log_alarm=self._log_alarm,
                block=self._block,
                stuck=False,
            )

    def _label(self, value: str) -> str:
        return f"{self.name}={value}"
