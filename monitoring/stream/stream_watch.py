"""The stream itself, whatever the models: silence, dead letters, and hints of adversaries."""

from collections.abc import Callable

from monitoring.counting.cell_counts import EpisodeAct, LetterCounts, StreamCounts
from monitoring.episodes.episode import Episode
from monitoring.episodes.kept import Kept
from monitoring.settings import MonitorSettings
from monitoring.stream.hint_watch import HintWatch
from monitoring.stream.letter_watch import LetterWatch
from monitoring.stream.silence_watch import SilenceWatch
from monitoring.stream.stream_episode import StreamEpisode
from streams.events.record_headers import PREFIX
from streams.loop.stateless.keyed_state import PartitionState


class StreamWatch:
    """Watches the stream; what it knows stands in the state, under keys without a slash."""

    def __init__(self, state: PartitionState, settings: MonitorSettings) -> None:
        self._interval = settings.interval
        label = settings.producer.removeprefix(PREFIX)
        kept = Kept(state)
        self._silence = SilenceWatch(kept, settings.interval, label)
        self._letters = LetterWatch(kept)
        self._hints = HintWatch(kept, settings.interval)
        self._broken = StreamEpisode(kept, "data_breakage", "page", self._forget)
        self._probed = StreamEpisode(kept, "adversary", "warning", self._forget)

    @property
    def ongoing(self) -> list[Episode]:
        """The episodes that go on."""
        both = (self._broken.episode, self._probed.episode)
        return [each for each in both if each is not None]

    def add(self, counts: StreamCounts, closed: int | None) -> list[Episode]:
        """Take in counts; what there is to say of episodes.

        Args:
            closed: up to when cells are over, ms: what comes later counts in the one that is open.

        Raises:
            ValueError: they are not as Weir's monitor writes them.
        """
        _check(counts, self._interval)
        start = max(counts.start, closed or counts.start)
        if counts.events:
            self._silence.add(start, counts.partition, counts.producers, counts.events)
        self._letters.events(counts)
        found = self._hints.add(start, counts)
        at = start if not found else max(each.since for each in found)
        return _said(self._probed.follow(found, [], at))

    def hear_letters(self, counts: LetterCounts) -> None:
        """Take in counts of dead letters."""
        self._letters.letters(counts)

    def look_at_letters(self, at: int) -> list[Episode]:
        """Look at the dead letters up to a time, ms; what there is to say of episodes."""
        return _said(self._broken.follow(*self._letters.look(), at))

    def close(self, before: int | None, until: int) -> list[Episode]:
        """Look at all cells that end by then, ms; what there is to say of episodes.

        Args:
            before: up to when they were looked at, ms.
        """
        found, over = self._silence.look(before or 0, until)
        hints = self._hints.look(until)
        return [
            *_said(self._broken.follow(found, over, until)),
            *_said(self._probed.follow(*hints, until)),
        ]

    def hear(self, act: EpisodeAct, reached: int) -> list[Episode]:
        """The episode after what somebody has said of it; nothing where it is not ours.

        Args:
            reached: up to which event time the stream was looked at, ms.
        """
        both = (each.hear(act, reached) for each in (self._broken, self._probed))
        return [each for each in both if each is not None]

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        for each in (self._silence, self._letters, self._hints):
            each.write()

    def _forget(self, episode: Episode) -> None:
        watches: tuple[Callable[[str], None], ...] = (
            self._silence.forget,
            self._letters.forget,
            self._hints.forget,
        )
        for name in episode.away:
            for forget in watches:
                forget(name)


def _said(episode: Episode | None) -> list[Episode]:
    return [] if episode is None else [episode]


def _check(counts: StreamCounts, interval: int) -> None:
    sizes = [*counts.producers.values()]
    sizes += [each for pair in counts.bounds.values() for each in pair]
    if counts.start % interval or counts.events < 0 or min(sizes, default=0) < 0:
        raise ValueError(f"counts that are none, or of a cell of another length than {interval} ms")
    if any(each.pairs < 1 or each.place.count("/") != 1 for each in counts.tried):
        raise ValueError("variations of no key")
