"""The episodes of the stream itself: one of what is broken, one of hints of adversaries."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from monitoring.counting.cell_counts import EpisodeAct
from monitoring.episodes.episode import (
    DECODE_EPISODE,
    ENCODE_EPISODE,
    Episode,
    Kind,
    MovedFeature,
    Severity,
    after,
    new_id,
)
from streams.loop.stateless.keyed_state import PartitionState

WHOLE_STREAM = "all"
"""In place of a model."""
MOST = 32
"""Things that one episode names."""


class StreamEpisode:
    """The episode of a kind that goes on, if one does; it stands in the state.

    Args:
        closed: told of what an episode named when somebody has closed it.
    """

    def __init__(
        self,
        state: PartitionState,
        kind: Kind,
        severity: Severity,
        closed: Callable[[Episode], None],
    ) -> None:
        self._state = state
        self._kind = kind
        self._severity = severity
        self._closed = closed
        self._key = f"stream:episode:{kind}".encode()
        stored = state.get(self._key)
        self.episode: Episode | None = None if stored is None else DECODE_EPISODE(stored)

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
                list(found[:MOST]),
            )
        else:
            anew = {each.name: each for each in found}
            features = [
                _now(each, anew.pop(each.name, None), each.name in over, at)
                for each in before.features
            ]
            features += anew.values()
            episode = replace(before, features=features[:MOST])
            if episode == before:
                return None
            if not episode.away:
                episode = replace(episode, state="closed", ended=at)
        self._keep(episode)
        return episode

    def hear(self, act: EpisodeAct) -> Episode | None:
        """The episode after what somebody has said of it; None where it is not ours."""
        if self.episode is None or self.episode.id != act.episode:
            return None
        episode = after(self.episode, act)
        if episode.state == "closed":
            self._closed(self.episode)
        self._keep(episode)
        return episode

    def _keep(self, episode: Episode) -> None:
        ongoing = episode.state == "open"
        self.episode = episode if ongoing else None
        self._state.put(self._key, ENCODE_EPISODE(episode) if ongoing else None)


def _now(known: MovedFeature, anew: MovedFeature | None, over: bool, at: int) -> MovedFeature:
    if anew is not None and (known.back is not None or anew.producer != known.producer):
        return anew
    return replace(known, back=at) if over and known.back is None else known
