"""One model's stream: its open cells of time, its detectors, and its episode."""

import logging
from collections.abc import Iterable

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from monitoring.breakage.kind import Kind
from monitoring.counting.cell_counts import EpisodeAct
from monitoring.counting.details import check_details
from monitoring.counting.model_bins import ModelBins
from monitoring.counting.segments import Segments
from monitoring.drift.describer import Describer
from monitoring.drift.detail_log import DetailLog
from monitoring.drift.detector import Detector, Watched
from monitoring.drift.finding import Finding
from monitoring.drift.first_days import FirstDays
from monitoring.drift.moved_together import moved_together
from monitoring.drift.open_cells import OpenCells
from monitoring.drift.ranking import kind_of, ranked, severity_of
from monitoring.drift.remembering import with_memory
from monitoring.drift.watched_record import decode_watched, encode_watched
from monitoring.drift.yardstick import Yardstick
from monitoring.episodes.episode import (
    REFERENCES,
    Episode,
    MovedFeature,
    Reference,
    new_id,
    with_features,
)
from monitoring.episodes.kept import Kept
from monitoring.episodes.ongoing import Ongoing
from monitoring.settings import MonitorSettings
from streams.features.calendar import hour_of_week
from streams.loop.stateless.keyed_state import PartitionState

logger = logging.getLogger(__name__)

_CELLS, _WATCHED, _DETAILS, _EPISODE = "cell", "watched", "details", "episode"
_ANSWERED = "answered"
_KINDS = [each.value for each in Kind]
_BLOCK = 25
"""Events at least that the detectors are shown at once: in less busy streams, of several cells."""
_GONE = 86_400_000
"""ms: a model that answered nothing for so long, while others did, answers no more."""
_FEW = 10_000
"""Events: of what was told with fewer, more of them may say more."""


_BLOBS = msgspec.msgpack.Decoder(list[bytes])


class ModelWatch:
    """Watches a model; what it knows stands in the state.

    Args:
        model: the first digits of its package's id.
        yardstick: of its package.

    Attributes:
        shape: how many features and bins are counted.
        answered: up to which event time its events were looked at, ms; 0 for none.
    """

    def __init__(
        self,
        state: PartitionState,
        model: str,
        bins: ModelBins,
        settings: MonitorSettings,
        yardstick: Yardstick,
    ) -> None:
        self._kept = kept = Kept(state, model)
        self._model = model
        self._bins = bins
        self.shape = bins.shape
        self._interval = settings.interval
        self._yardstick = yardstick
        # Both references and the segments have equal parts of the false alarms that there may be.
        parts = 1 + (settings.promotion_span > 0) + (len(settings.segments) > 0)
        alarms = parts * len(bins.histograms) * settings.arl / settings.interval
        log_alarm = float(np.log(alarms))
        self._detector = Detector(self._yardstick, log_alarm)
        self._first_days = FirstDays(kept, bins, settings, log_alarm, _BLOCK)
        self._watched = self._kept_watched()
        self._open = OpenCells(kept.below(_CELLS), bins.shape)
        self._details = kept.below(_DETAILS)
        self._log = DetailLog(
            {
                int(each): _BLOBS.decode(self._details.get(each) or b"")
                for each in self._details.names()
            }
        )
        self._logged = set(self._log.entries)
        self._described = Describer(bins, self._log)
        self._last_events = 0
        self._ongoing = Ongoing(kept, _EPISODE)
        self.answered = int(kept.get(_ANSWERED) or 0)

    @property
    def episode(self) -> Episode | None:
        """The one that goes on, if one does."""
        return self._ongoing.episode

    def _kept_watched(self) -> Watched | None:
        stored = self._kept.get(_WATCHED)
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

    def add(
        self,
        start: int,
        counts: NDArray[np.int64],
        details: list[bytes],
        segments: Segments | None = None,
    ) -> None:
        """Add counts (features, bins) to the cell that begins then, ms.

        Raises:
            ValueError: the details are none of this model.
        """
        for each in details:
            check_details(each, len(counts))
        self._open.add(start, counts, details, segments or {})

    def close(self, until: int) -> list[Episode]:
        """Look at all cells that end by then, in their order; what there is to say of episodes.

        Of the last ones, too few events to be looked at stay until there are more.
        """
        said: list[Episode] = []
        block: list[int] = []
        events = 0
        for start in self._open.begun(until - self._interval):
            block.append(start)
            events += self._open.events(start)
            if events >= _BLOCK:
                said += self._close(block)
                block, events = [], 0
        return said

    def end_where_gone(self, latest: int) -> list[Episode]:
        """The episode that is over since the model answers no more; nothing where it does.

        Its events are another model's now, whose watch knows what is broken: else what nobody can
        mend would keep models from being trained anew.

        Args:
            latest: up to which event time the events of any model were looked at, ms.
        """
        episode = self.episode
        if episode is None or not self.answered or self.answered + _GONE > latest:
            return []
        episode = replace(episode, state="closed", ended=self.answered)
        self._ongoing.put(episode)
        return [episode]

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        self._kept.put(_ANSWERED, str(self.answered).encode())
        self._open.write()
        self._first_days.write()
        if self._watched is None:
            return
        self._kept.put(_WATCHED, encode_watched(self._watched))
        kept = self._log.entries
        for start in self._logged ^ kept.keys():
            value = msgspec.msgpack.encode(kept[start]) if start in kept else None
            self._details.put(f"{start:020}", value)
        self._logged = set(kept)

    def _close(self, starts: list[int]) -> list[Episode]:
        """Look at some cells as one."""
        end = self.answered = starts[-1] + self._interval
        if self._watched is None:
            self._watched = Watched.begin(self._yardstick, starts[0])
        groups = np.zeros(self._yardstick.share.shape[1], np.int64)
        hours = np.zeros(len(starts), np.int64)
        if len(groups) > 1:
            hours = hour_of_week(np.array(starts), self._bins.timezone)
        counts = np.zeros(self.shape, np.int64)
        for start, hour in zip(starts, hours.tolist(), strict=True):
            cell = self._open.pop(start)
            self._log.add(start, cell.details)
            counts += cell.counts
            groups[hour] += cell.events
            self._first_days.collect(start, hour, cell)
        self._last_events = int(groups.sum())
        moved = self._detector.step(self._watched, counts, groups, end)
        names = self._yardstick.names
        found = [Finding(names[each.feature], "training", each) for each in moved]
        found += self._first_days.step(counts, groups, end)
        said = self._further(found, end)
        if said or (self.episode is not None and self.episode.kind == "data_breakage"):
            self._first_days.begin_anew()
        said = self._said_of_all(said)
        self._log.forget(int(self._watched.since.min()))
        return said

    def _said_of_all(self, said: list[Episode]) -> list[Episode]:
        """What is said, with what moved together, where there is anything new to say of that."""
        episode = self.episode
        if episode is None:
            return said
        together = moved_together(episode, self._bins, self._log)
        if together == episode.together:
            return said
        episode = replace(episode, together=together)
        self._ongoing.put(episode)
        return [episode]

    def _further(self, found: Iterable[Finding], end: int) -> list[Episode]:
        """The episode, if there is anything new to say of it."""
        before = self.episode
        named: dict[str, list[Finding]] = {}
        for finding in found:
            named.setdefault(finding.name, []).append(finding)
        if before is None:
            if not named:
                return []
            features = [self._described(each) for each in named.values()]
            first = min(features, key=lambda each: each.since)
            episode = Episode(
                id=new_id(self._model, end, first.name),
                model=self._model,
                kind=kind_of(features),
                severity=severity_of(features),
                state="open",
                began=first.since,
                found=end,
                features=ranked(features),
            )
        else:
            episode = self._followed(before, named, end)
            if episode == before:
                return []
        self._ongoing.put(episode)
        return [episode]

    def _away(self) -> dict[Reference, set[str]]:
        """What may be away, against each reference."""
        assert self._watched is not None
        return {
            "training": self._detector.suspected(self._watched),
            "promotion": self._first_days.away,
        }

    def _followed(self, episode: Episode, named: dict[str, list[Finding]], end: int) -> Episode:
        """The episode after a cell: features join it, and come back."""
        away = self._away()
        features = []
        for each in episode.features:
            found = named.get(each.name, [])
            against = self._against(each, found, away)
            if each.back is not None:
                features.append(self._described(found) if found else each)
            elif not against:
                features.append(replace(each, back=end))
            elif against != each.references:
                better = found and found[0].reference == against[0] != each.references[0]
                now = self._described(found) if better else each
                features.append(replace(now, since=each.since, references=against))
            elif each.events < _FEW and "training" in against:
                features.append(self._known_better(each))
            else:
                features.append(each)
        known = {each.name for each in features}
        features += [self._described(found) for name, found in named.items() if name not in known]
        features = with_memory(features, self._bins.memories, end)
        if features == episode.features:
            return episode
        episode = with_features(episode, ranked(features))
        episode = replace(episode, kind=kind_of(features), severity=severity_of(features))
        if not episode.away:
            ended = max(each.back or 0 for each in episode.features)
            return replace(episode, state="closed", ended=ended)
        return episode

    def _against(
        self, feature: MovedFeature, found: list[Finding], away: dict[Reference, set[str]]
    ) -> tuple[Reference, ...]:
        """The references against which a feature is away now."""
        new = {each.reference for each in found}
        still = {of for of in feature.references if feature.name in away[of]}
        return tuple(of for of in REFERENCES if of in new | still)

    def _known_better(self, feature: MovedFeature) -> MovedFeature:
        """The feature, where more events say more plainly of what kind its change is."""
        assert self._watched is not None
        place = self._yardstick.names.index(feature.name)
        events = int(self._watched.groups[place].sum())
        if events.bit_length() == (events - self._last_events).bit_length():
            return feature  # it is asked anew with each doubling
        moved = self._detector.moved(self._watched, (place,))
        now = self._described([Finding(feature.name, "training", moved)])
        before, after = (_KINDS.index(each.kind) for each in (feature, now))
        if after >= before:
            return feature
        return replace(now, since=feature.since, references=feature.references)

    def hear(self, act: EpisodeAct) -> Episode | None:
        """The episode after what somebody has said of it; None where it is not ours."""
        return self._ongoing.hear(act, self.answered)
