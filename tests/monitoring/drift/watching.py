"""A model's stream, minute by minute, before its watch."""

from collections.abc import Callable

import numpy as np
from monitored import BINS, MODEL, T0, rows, score_of
from numpy.typing import NDArray

from monitoring.counting.details import details_of
from monitoring.counting.model_bins import ModelBins
from monitoring.counting.segments import count_segments
from monitoring.drift.model_watch import ModelWatch
from monitoring.drift.reference import yardstick_of
from monitoring.episodes.episode import Episode
from monitoring.settings import MonitorSettings
from streams.loop.stateless.keyed_state import PartitionState

MINUTE = 60_000
PER_MINUTE = 200
COUNTRIES = ["DE", "FR", "IT"]
_DEARER = np.array([1.5, 1.0, 0.7], np.float32)

Change = Callable[[NDArray[np.float32], NDArray[np.int64]], None]
"""What becomes of vectors (n, features) of events of these countries, (n,)."""


class Watching:
    """A watch that may be killed after any minute; what it has said."""

    def __init__(self, settings: MonitorSettings, bins: ModelBins = BINS) -> None:
        self._settings, self._bins = settings, bins
        self._state = PartitionState({})
        self._time = T0
        self.said: list[Episode] = []
        self.start()

    def start(self) -> None:
        """Start anew, with what was committed."""
        self._state = PartitionState(dict(self._state.items()))
        self._watch = ModelWatch(
            self._state,
            MODEL,
            self._bins,
            self._settings,
            yardstick_of(self._bins.histograms, self._settings.delta),
        )

    @property
    def state(self) -> dict[bytes, bytes]:
        """All that is kept."""
        return dict(self._state.items())

    def pass_by(
        self,
        minutes: int,
        seed: int,
        change: Change = lambda values, countries: None,
        *,
        killed: bool = False,
        mix: tuple[float, ...] = (0.3, 0.5, 0.2),
    ) -> list[Episode]:
        """Let some minutes pass; what was said of them."""
        rng, chance = np.random.default_rng(seed), np.random.default_rng(seed)
        before = len(self.said)
        for _ in range(minutes):
            values = rows(rng, PER_MINUTE)
            fields = {}
            countries = rng.choice(len(COUNTRIES), PER_MINUTE, p=mix)
            if self._settings.segments:
                values[:, 0] *= _DEARER[countries]
                fields = {"country": (COUNTRIES, countries)}
            change(values, countries)
            matrix = np.column_stack([values, score_of(values)])
            counts = self._bins.count(matrix, np.zeros(len(matrix), np.int64), 1)[0]
            everything = np.arange(len(matrix))
            segments = count_segments(self._bins.binning, matrix, everything, fields)
            self._watch.add(self._time, counts, [details_of(matrix, [])], segments)
            self._time += MINUTE
            self.said += self._watch.close(self._time)
            self._watch.write()
            if killed and chance.random() < 0.1:
                self.start()
        return self.said[before:]
