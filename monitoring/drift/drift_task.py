"""From counts to episodes: the task of the monitor's second stage, which sees all partitions."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import msgspec
from confluent_kafka import Message

from monitoring.counting.cell_counts import (
    DECODE,
    CellCounts,
    CohortDays,
    EpisodeAct,
    LetterCounts,
    StreamCounts,
    Unread,
)
from monitoring.counting.model_bins import ModelBins
from monitoring.counting.segments import check_segments, unpack_segments
from monitoring.drift.metrics import DriftMetrics
from monitoring.drift.model_watch import ModelWatch
from monitoring.drift.reference import yardstick_of
from monitoring.drift.yardstick import Yardstick
from monitoring.episodes.episode import ENCODE_EPISODE, Episode
from monitoring.settings import MonitorSettings
from monitoring.stream.stream_watch import StreamWatch
from streams.events.rejection import Reason, Rejected
from streams.loop.stateless.keyed_state import KeyedState, PartitionState
from streams.loop.stateless.loop import Processed
from streams.transactions.outcome import Outgoing

logger = logging.getLogger(__name__)

_PROGRESS = b"progress"
_BEHIND = 20
"""Offsets of a partition of the feature log: fewer are what is being written just now."""


class Progress(msgspec.Struct, frozen=True):
    """How far the stream is.

    Attributes:
        reached: latest event time of each partition of the feature log, ms.
        unread: records of each that were not counted yet then, those that are none included.
        closed: up to which time cells are closed, ms.
    """

    reached: dict[int, int] = {}
    unread: dict[int, int] = {}
    closed: int | None = None

    @property
    def waiting(self) -> set[int]:
        """Partitions of which there is more to be counted."""
        return {partition for partition, unread in self.unread.items() if unread}

    @property
    def behind(self) -> bool:
        """Whether more waits than what is being written just now."""
        return any(unread > _BEHIND for unread in self.unread.values())


class Losses(Protocol):
    """Episodes of performance loss, by days that are whole; see `LossWatch`."""

    @property
    def episodes(self) -> list[Episode]:
        """Those that go on."""

    def take(
        self, record: CohortDays, holding: Collection[int], behind: Collection[int]
    ) -> list[Episode]:
        """Take in what a partition tells; ValueError where it is not as Weir writes it."""

    def note(self, episodes: Iterable[Episode]) -> None:
        """Take note of when data are broken, of episodes that there is something new to say of."""

    def hear(self, act: EpisodeAct) -> Episode | None:
        """The episode after what somebody has said of it; None where it is another's."""

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""


class DriftTask:
    """The task of a `StatelessLoop` over the topic of counts, which has one partition.

    Args:
        bins: of a model, by the first digits of its package's id; None where nothing is known.
        topic: of episodes.
        losses: what watches performance, and keeps what it knows in the state.
        told: told of each episode that there is something new to say of, once it is committed.
        partitions: those of the feature log that hold anything; asked while one was never counted.
    """

    def __init__(
        self,
        state: KeyedState,
        bins: Callable[[str], ModelBins | None],
        settings: MonitorSettings,
        *,
        topic: str,
        losses: Callable[[PartitionState], Losses],
        partitions: Callable[[], Collection[int]],
        metrics: DriftMetrics,
        told: Callable[[Episode], None],
    ) -> None:
        self._state = state
        self._bins = bins
        self._settings = settings
        self._topic = topic
        self._partitions = partitions
        self._metrics = metrics
        self._told = told
        self._of: tuple[PartitionState, int] | None = None
        self._watches: dict[str, ModelWatch] = {}
        self._yardsticks: dict[str, Yardstick] = {}
        self._losses_of = losses
        self._losses: Losses | None = None
        self._stream: StreamWatch
        self._holding: set[int] = set()

    def __call__(self, messages: Sequence[Message]) -> Processed:
        """Take in some counts, look at the cells that are over, and say what there is to say."""
        said: dict[str, Episode] = {}
        bad: list[tuple[Message, Rejected]] = []
        state = self._state.of(messages[0].partition() or 0)
        losses = self._renew(state)
        progress = _read(state)
        if not self._holding or self._holding - progress.reached.keys():
            self._holding = set(self._partitions())
        before = {each.id for each in self._ongoing()}
        for index, message in enumerate(messages):
            try:
                record = DECODE(message.value() or b"")
                if isinstance(record, EpisodeAct):
                    self._hear(record, progress.closed or 0, said)
                elif isinstance(record, CohortDays):
                    losses.note(said.values())
                    _say(losses.take(record, self._holding, progress.waiting), said)
                elif isinstance(record, LetterCounts):
                    self._stream.hear_letters(record)
                elif isinstance(record, StreamCounts):
                    _say(self._stream.add(record, progress.closed), said)
                    if not progress.behind:
                        _say(self._stream.look_at_letters(record.logged), said)
                elif isinstance(record, Unread):
                    unread = progress.unread | record.partitions
                    progress = msgspec.structs.replace(progress, unread=unread)
                    progress = self._close(progress, said)
                else:
                    # After each record: so what is found does not depend on how they are batched.
                    progress = self._close(self._add(state, record, progress), said)
            except (ValueError, OverflowError) as error:
                why = f"no count as Weir's monitor writes it: {error}"
                bad.append((message, Rejected(index, Reason.BAD_BODY, None, why)))
        for watch in self._watches.values():
            watch.write()
        losses.note(said.values())
        losses.write()
        self._stream.write()
        state.put(_PROGRESS, msgspec.msgpack.encode(progress))
        episodes = list(said.values())
        outgoing = Outgoing(
            self._topic,
            [ENCODE_EPISODE(each) for each in episodes],
            [each.id.encode() for each in episodes],
            [-1] * len(episodes),
        )

        def count() -> None:
            began = [each for each in episodes if each.id not in before]
            self._metrics.show(began, self._ongoing(), progress.closed)
            for each in episodes:
                logger.warning("%s", _line(each))
                self._told(each)

        return Processed([outgoing], bad, count)

    def _ongoing(self) -> list[Episode]:
        moved = [each.episode for each in self._watches.values() if each.episode is not None]
        lost = [] if self._losses is None else self._losses.episodes
        return [*moved, *lost, *self._stream.ongoing]

    def _renew(self, state: PartitionState) -> Losses:
        """Forget what was made of entries that were taken back, or are another worker's now."""
        if self._losses is None or self._of != (state, state.taken_back):
            self._of = state, state.taken_back
            self._stream = StreamWatch(state, self._settings)
            self._watches = {}
            self._losses = self._losses_of(state)
            models = {key.split(b"/")[0].decode() for key, _ in state.items() if b"/" in key}
            for model in sorted(models):
                self._watch(state, model)
        return self._losses

    def _watch(self, state: PartitionState, model: str) -> ModelWatch | None:
        if model not in self._watches:
            bins = self._bins(model)
            if bins is None:
                return None
            if model not in self._yardsticks:  # made once: after an abort all else is made anew
                self._yardsticks[model] = yardstick_of(bins.histograms, self._settings.delta)
            self._watches[model] = ModelWatch(
                state, model, bins, self._settings, self._yardsticks[model]
            )
        return self._watches[model]

    def _hear(self, act: EpisodeAct, reached: int, said: dict[str, Episode]) -> None:
        watches: list[ModelWatch | Losses] = [*self._watches.values()]
        if self._losses is not None:
            watches.append(self._losses)
        for watch in watches:
            episode = watch.hear(act)
            _say([] if episode is None else [episode], said)
        _say(self._stream.hear(act, reached), said)

    def _add(self, state: PartitionState, record: CellCounts, progress: Progress) -> Progress:
        watch = self._watch(state, record.model)
        if watch is None:
            return progress
        if record.start % self._settings.interval:
            raise ValueError(f"a cell of another length than {self._settings.interval} ms")
        counts = record.histogram(watch.shape)
        # What comes for a cell that is over counts in the one that is open.
        start = max(record.start, progress.closed or record.start)
        segments = unpack_segments(record.segments, watch.shape)
        check_segments(segments, counts)
        watch.add(start, counts, record.details, segments)
        before = progress.reached.get(record.partition, record.reached)
        reached = progress.reached | {record.partition: max(before, record.reached)}
        return msgspec.structs.replace(progress, reached=reached)

    def _close(self, progress: Progress, said: dict[str, Episode]) -> Progress:
        if not progress.reached or self._holding - progress.reached.keys():
            return progress
        # A partition to which nothing comes holds nobody up; one that is being caught up with does:
        # without its events, the others are those of other keys.
        idle_since = max(progress.reached.values()) - self._settings.lateness
        waiting = progress.waiting
        watermark = min(
            time if place in waiting else max(time, idle_since)
            for place, time in progress.reached.items()
        )
        until = watermark // self._settings.interval * self._settings.interval
        if progress.closed is not None and until <= progress.closed:
            return progress
        for watch in self._watches.values():
            _say(watch.close(until), said)
        answered = max((watch.answered for watch in self._watches.values()), default=until)
        for watch in self._watches.values():
            _say(watch.end_where_gone(answered), said)
        _say(self._stream.close(progress.closed, until), said)
        return msgspec.structs.replace(progress, closed=until)


def _say(episodes: Sequence[Episode], said: dict[str, Episode]) -> None:
    said |= {each.id: each for each in episodes}


def _read(state: PartitionState) -> Progress:
    stored = state.get(_PROGRESS)
    return Progress() if stored is None else msgspec.msgpack.decode(stored, type=Progress)


def _line(episode: Episode) -> str:
    """An episode in a line of the log."""
    what = f"{episode.kind} of model {episode.model} (episode {episode.id})"
    if episode.state == "closed":
        return f"{what} is over"
    return f"{what}: {episode.words}"
