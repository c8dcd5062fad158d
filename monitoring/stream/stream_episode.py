"""The episodes of the stream itself: one of what is broken, one of hints of adversaries."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from monitoring.counting.cell_counts import EpisodeAct
from monitoring.episodes.episode import (
    WHOLE_STREAM,
    Episode,
    Kind,
    MovedFeature,
    Severity,
    new_id,
    with_features,
)
from monitoring.episodes.kept import Kept
from monitoring.episodes.ongoing import Ongoing

MOST = 32
"""Things that one episode names."""


class StreamEpisode:
    """The episode of a kind that goes on, if one does; it stands in the state.

    Args:
        closed: told of what an episode named when somebody has closed it.
    """

    def __init__(
        self, kept: Kept, kind: Kind, severity: Severity, closed: Callable[[Episode], None]
    ) -> None:
        self._kind = kind
        self._severity = severity
        self._closed = closed
        self._ongoing = Ongoing(kept, f"stream:episode:{kind}")

    @property
    def episode(self) -> Episode | None:
        """The one that goes on."""
        return self._ongoing.episode

    @property
    def away(self) -> list[str]:
        """What goes on."""
        return [] if self.episode is None else self.episode.away

    def follow(self, found: Sequence[MovedFeature], over: Sequence[str], at: int) -> Episode | None:
        """The episode, if there is anything new to say of it.

        Args:
            found: what begins now, comes back, or is known better.
            over: names of what is as it was again.
            at: now, ms.
        """
        before = self.episode
        if before is None:
            if not found:
                return None
            first = min(found, key=lambda each: each.since)
            episode = Episode(
                new_id(WHOLE_STREAM, at, first.name),
                WHOLE_STREAM,
                self._kind,
                self._severity,
                "open",
                first.since,
                at,
                [_now(each, None, each.name in over, at) for each in found[:MOST]],
            )
        else:
            anew = {each.name: each for each in found}
            features = [
                _now(each, anew.pop(each.name, None), each.name in over, at)
                for each in before.features
            ]
            features += [_now(each, None, each.name in over, at) for each in anew.values()]
            episode = with_features(before, features[:MOST])
            if episode == before:
                return None
        if not episode.away:
            episode = replace(episode, state="closed", ended=at)
        self._ongoing.put(episode)
        return episode

    def hear(self, act: EpisodeAct, reached: int) -> Episode | None:
        """The episode after what somebody has said of it, at an event time; None if not ours."""
        episode = self._ongoing.hear(act, reached)
        if episode is not None and episode.state == "closed":
            self._closed(episode)
        return episode


def _now(known: MovedFeature, anew: MovedFeature | None, over: bool, at: int) -> MovedFeature:
    if anew is not None and (known.back is not None or anew.producer != known.producer):
        known = anew
    return replace(known, back=at) if over and known.back is None else known
