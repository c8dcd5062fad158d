"""Plays a file into Kafka and waits for the answers."""

import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Protocol

from streams.files.event_file import EventFile
from streams.kafka.client import KafkaSettings
from streams.replay.pace import Pace
from streams.replay.replay import Replayer, ReplayReport
from weir.config.errors import PlaybackError
from weir.config.settings import Settings
from weir.demo.scorer_process import DemoScorer
from weir.demo.watcher import Watcher

_TICK_S = 0.05
_LEAVE_S = 5.0
_SILENCE_S = 60.0
"""Give up when nothing was answered for so long."""


class Display(Protocol):
    """Shows how far a playback is."""

    def phase(self, title: str, total: int) -> None:
        """A new phase begins; `total` records are to be answered at its end."""

    def sent(self, count: int) -> None:
        """So many events have been sent so far."""


class Player:
    """Replays parts of a file and waits until all of each is answered.

    Args:
        check: called while it waits; raises what makes waiting pointless.

    Attributes:
        sent: events sent so far.
    """

    def __init__(
        self,
        settings: Settings,
        kafka: KafkaSettings,
        file: EventFile,
        watcher: Watcher,
        scorer: DemoScorer,
        display: Display,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._kafka = kafka
        self._file = file
        self._watcher = watcher
        self._scorer = scorer
        self._display = display
        self._check = check
        self.sent = 0

    def __call__(
        self,
        title: str,
        pace: Pace,
        start_ms: int | None,
        stop_ms: int | None,
        *,
        flush_labels: bool = False,
    ) -> float:
        """Events per second, from the first answer until 99 % were answered.

        The very last events of a file wait until other partitions count as idle: there will be no
        later event to show that none is missing.
        """
        first, last = self._file.span(start_ms, stop_ms)
        before = self.sent
        self._display.phase(title, before + last - first)
        replayer = Replayer(
            self._file,
            self._kafka,
            self._settings.topics,
            self._settings.labels,
            pace,
            start_ms=start_ms,
            stop_ms=stop_ms,
            flush_labels=flush_labels,
        )
        stop = threading.Event()
        outcome: list[ReplayReport | BaseException] = []

        def replay() -> None:
            try:
                outcome.append(replayer.run(stop, self._progress(before)))
            except BaseException as error:
                outcome.append(error)

        thread = threading.Thread(target=replay, name="replay", daemon=True)
        answered_before = self._watcher.seen.total
        thread.start()
        try:
            self._wait_for_answers(answered_before + 1, outcome)
            begin, answered_at_begin = monotonic(), self._watcher.seen.total
            most = answered_before + round(0.99 * (last - first))
            self._wait_for_answers(most, outcome)
            seconds = monotonic() - begin
            self.sent = before + last - first
            self._wait_for_answers(self.sent, outcome)
            self._display.sent(self.sent)
        finally:
            stop.set()
            # Without a broker it would wait for acknowledgements for minutes.
            thread.join(_LEAVE_S)
        _raise_failure(outcome)
        return max(1, most - answered_at_begin) / max(seconds, _TICK_S)

    def _progress(self, before: int) -> Callable[[int, int], None]:
        def step(done: int, total: int) -> None:
            self._display.sent(before + done)

        return step

    def _wait_for_answers(self, count: int, outcome: list[ReplayReport | BaseException]) -> None:
        answered, since = -1, monotonic()
        while self._watcher.seen.total < count:
            sleep(_TICK_S)
            _raise_failure(outcome)
            self._check()
            self._scorer.check()
            self._watcher.check()
            if self._watcher.seen.total != answered:
                answered, since = self._watcher.seen.total, monotonic()
            elif monotonic() - since > _SILENCE_S:
                raise PlaybackError(
                    f"nothing was answered for {_SILENCE_S:.0f} s, and "
                    f"{self.sent - answered:,} events are open; see the scorer's log"
                )


def _raise_failure(outcome: list[ReplayReport | BaseException]) -> None:
    if outcome and isinstance(outcome[0], BaseException):
        raise outcome[0]
