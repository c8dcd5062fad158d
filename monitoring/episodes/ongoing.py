"""The episode of one kind and place that goes on, if one does."""

from monitoring.counting.cell_counts import EpisodeAct
from monitoring.episodes.episode import DECODE_EPISODE, ENCODE_EPISODE, Episode, after
from monitoring.episodes.kept import Kept


class Ongoing:
    """It stands in the state while it is open.

    Args:
        name: where.

    Attributes:
        episode: None where none goes on.
    """

    def __init__(self, kept: Kept, name: str) -> None:
        self._kept, self._name = kept, name
        stored = kept.get(name)
        self.episode: Episode | None = None if stored is None else DECODE_EPISODE(stored)

    def put(self, episode: Episode) -> None:
        """It begins, goes on or is over."""
        ongoing = episode.state == "open"
        self.episode = episode if ongoing else None
        self._kept.put(self._name, ENCODE_EPISODE(episode) if ongoing else None)

    def hear(self, act: EpisodeAct, reached: int) -> Episode | None:
        """The episode after what somebody has said of it; None where it is another's.

        Args:
            reached: up to which event time the stream was looked at, ms.
        """
        if self.episode is None or self.episode.id != act.episode:
            return None
        episode = after(self.episode, act, reached)
        self.put(episode)
        return episode
