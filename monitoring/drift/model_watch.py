"""One model's stream: its open cells of time, its detectors, and its episode."""

import logging
from collections.abc import Iterable

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from monitoring.counting.cell_counts import EpisodeAct
from monitoring.counting.model_bins import ModelBins
from monitoring.drift.detector import Detector, Moved, Watched
from monitoring.drift.episode import (
    DECODE_EPISODE,
    ENCODE_EPISODE,
    Episode,
    MovedFeature,
    after,
    new_id,
)
from monitoring.drift.reference import yardstick_of
from monitoring.drift.watched_record import decode_watched, encode_watched
from monitoring.drift.words import describe
from monitoring.settings import MonitorSettings
from streams.features.calendar import hour_of_week
from streams.loop.stateless.keyed_state import PartitionState

logger = logging.getLogger(__name__)

_CELLS, _WATCHED, _EPISODE = "cell", "watched", "episode"


class ModelWatch:
    """Watches a model; what it knows stands in the state.

    Args:
        model: the first digits of its package's id.

    Attributes:
        episode: the one that goes on, if one does.
    """

    def __init__(
        self, state: PartitionState, model: str, bins: ModelBins, settings: MonitorSettings
    ) -> None:
        self._state = state
        self._model = model
        self._bins = bins
        self._interval = settings.interval
        self._edges = [each.edges for each in bins.histograms.values()]
        self._yardstick = yardstick_of(bins.histograms, settings.delta)
        log_alarm = float(np.log(len(bins.histograms) * settings.arl / settings.interval))
        self._detector = Detector(self._yardstick, log_alarm)
        self._watched = self._kept_watched()
        cells = self._key(_CELLS, "")
        self._open = {int(key[len(cells) :]) for key, _ in state.items() if key.startswith(cells)}
        stored = state.get(self._key(_EPISODE))
        self.episode: Episode | None = None if stored is None else DECODE_EPISODE(stored)

    def _key(self, *parts: str) -> bytes:
        return "/".join([self._model, *parts]).encode()

    def _kept_watched(self) -> Watched | None:
        stored = self._state.get(self._key(_WATCHED))
        if stored is None:
            return None
        try:
            return decode_watched(stored, self._yardstick)
        except ValueError as error:
            logger.warning(
                "what is known of model %s begins anew: it was kept by another version (%s)",
                self._model,
                error,
            )
            return None

    def add(self, start: int, counts: NDArray[np.int64]) -> None:
        """Add counts (features, bins) to the cell that begins then, ms."""
        key = self._key(_CELLS, f"{start:020}")
        stored = self._state.get(key)
        if stored is not None:
            counts = counts + np.frombuffer(stored, "<i8").reshape(counts.shape)
        self._state.put(key, counts.astype("<i8").tobytes())
        self._open.add(start)

    def close(self, until: int) -> list[Episode]:
        """Look at all cells that end by then, in their order; what there is to say of episodes."""
        over = sorted(start for start in self._open if start + self._interval <= until)
        self._open.difference_update(over)
        return [episode for start in over for episode in self._close(start)]

    def _close(self, start: int) -> list[Episode]:
        key = self._key(_CELLS, f"{start:020}")
        stored = self._state.get(key)
        assert stored is not None
        counts = np.frombuffer(stored, "<i8").reshape(self._bins.shape)
        self._state.put(key, None)
        end = start + self._interval
        if self._watched is None:
            self._watched = Watched.begin(self._yardstick, start)
        groups = np.zeros(self._yardstick.share.shape[1], np.int64)
        events = int(counts[0].sum())
        place = 0
        if len(groups) > 1:
            place = int(hour_of_week(np.array([start]), self._bins.timezone)[0])
        groups[place] = events
        moved = self._detector.step(self._watched, counts, groups, end)
        said = self._further(moved, end)
        self._state.put(self._key(_WATCHED), encode_watched(self._watched))
        return said

    def _further(self, moved: Iterable[Moved], end: int) -> list[Episode]:
        """The episode, if there is anything new to say of it."""
        before = self.episode
        named = {self._yardstick.names[each.feature]: each for each in moved}
        if before is None:
            if not named:
                return []
            features = [self._described(name, each) for name, each in named.items()]
            first = min(features, key=lambda each: each.since)
            episode = Episode(
                id=new_id(self._model, end, first.name),
                model=self._model,
                kind="covariate_shift",
                severity="warning",
                state="open",
                began=first.since,
                found=end,
                features=_ranked(features),
            )
        else:
            episode = self._followed(before, named, end)
            if episode == before:
                return []
        self._keep(episode)
        return [episode]

    def _followed(self, episode: Episode, named: dict[str, Moved], end: int) -> Episode:
        """The episode after a cell: features join it, and come back."""
        assert self._watched is not None
        away = ~self._watched.weak(self._detector.log_alarm)
        still = {name for name, each in zip(self._yardstick.names, away, strict=True) if each}
        features = []
        for each in episode.features:
            if each.back is None and each.name not in still:
                features.append(replace(each, back=end))
            elif each.back is not None and each.name in named:
                features.append(self._described(each.name, named[each.name]))
            else:
                features.append(each)
        known = {each.name for each in features}
        features += [
            self._described(name, each) for name, each in named.items() if name not in known
        ]
        if features == episode.features:
            return episode
        episode = replace(episode, features=_ranked(features))
        if not episode.away:
            ended = max(each.back or 0 for each in episode.features)
            return replace(episode, state="closed", ended=ended)
        return episode

    def _described(self, name: str, moved: Moved) -> MovedFeature:
        assert self._watched is not None
        place = moved.feature
        size = self._yardstick.sizes[place]
        counts = self._watched.counts[place, :size]
        share = self._yardstick.expected(place, self._watched.groups[place])
        return describe(name, moved, self._edges[place], counts, share)

    def hear(self, act: EpisodeAct) -> Episode | None:
        """The episode after what somebody has said of it; None where it is not ours."""
        if self.episode is None or self.episode.id != act.episode:
            return None
        episode = after(self.episode, act)
        self._keep(episode)
        return episode

    def _keep(self, episode: Episode) -> None:
        ongoing = episode.state == "open"
        self.episode = episode if ongoing else None
        self._state.put(self._key(_EPISODE), ENCODE_EPISODE(episode) if ongoing else None)


def _ranked(features: list[MovedFeature]) -> list[MovedFeature]:
    """Who has moved most comes first."""
    return sorted(features, key=lambda each: (-each.psi, each.name))
