"""All that is compared with the first days after a model's promotion: its stream, and segments."""

import numpy as np
from numpy.typing import NDArray

from monitoring.counting.model_bins import ModelBins
from monitoring.drift.finding import Finding
from monitoring.drift.open_cells import OpenCell
from monitoring.drift.segment_watch import SegmentWatch
from monitoring.drift.since_promotion import SincePromotion
from monitoring.episodes.kept import Kept
from monitoring.settings import MonitorSettings


class FirstDays:
    """Watches a model's stream; nothing where `promotion_span` is none.

    Args:
        kept: the model's place in the state.
        log_alarm: see `Detector`; once for all events, and once for all segments together.
        block: see `SincePromotion`.
    """

    def __init__(
        self, kept: Kept, bins: ModelBins, settings: MonitorSettings, log_alarm: float, block: int
    ) -> None:
        self._whole: SincePromotion | None = None
        if settings.promotion_span:
            self._whole = SincePromotion(
                kept.below("promotion"),
                bins,
                span=settings.promotion_span,
                delta=settings.delta,
                log_alarm=log_alarm,
                block=block,
            )
        self._segments = SegmentWatch(kept.below("segment"), bins, settings, log_alarm, block)

    def collect(self, start: int, hour: int, cell: OpenCell) -> None:
        """Take in a cell.

        Args:
            start: of the cell, ms.
            hour: of the week, or 0 where hours don't matter.
        """
        if self._whole is not None:
            self._whole.collect(start, hour, cell.counts)
        self._segments.collect(start, hour, cell.segments)

    def begin_anew(self) -> None:
        """Forget what was collected, as something moves, or is broken: such days are no measure.

        What is made of them already stands for good.
        """
        if self._whole is not None:
            self._whole.begin_anew()
        self._segments.begin_anew()

    def step(self, counts: NDArray[np.int64], groups: NDArray[np.int64], end: int) -> list[Finding]:
        """Look at the cells since the last step; what has moved. See `Detector.step`."""
        if self._whole is None:
            return []
        moved = self._whole.step(counts, groups, end)
        found = [Finding(name, "promotion", each) for name, each in moved]
        return found + self._segments.step(self._whole, end)

    @property
    def away(self) -> set[str]:
        """What may be away, as an episode calls it."""
        return set() if self._whole is None else self._whole.away | self._segments.away

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        if self._whole is not None:
            self._whole.write()
            self._segments.write()
