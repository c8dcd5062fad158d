"""The task of a partition of events or labels: its records go to where their entities are."""

from collections.abc import Callable, Sequence
from time import monotonic

from confluent_kafka import Message

from streams.events.json_decoder import TryAgainLaterError
from streams.features.state import FeatureState
from streams.stages.common.step import StagePosition, Step
from streams.stages.route.label_router import LabelRouter
from streams.stages.route.router import EventRouter
from streams.stages.route.routing import MARK_EVERY_MS

_HOLD_S = 0.25


class RouteTask:
    """A partition of events or labels."""

    stage: str | None = "route"
    stateful = None
    ready = True

    def __init__(
        self, router: EventRouter | LabelRouter, clock: Callable[[], float] = monotonic
    ) -> None:
        self._router = router
        self._clock = clock
        self.begin(None)

    def begin(self, position: StagePosition | None) -> None:
        """See `StageTask`."""
        self._router.begin(position)
        self._read: list[Message] = []
        self._last: list[Message] = []
        self._end: int | None = None
        self._held_until = self._word_at = 0.0

    @property
    def next_offset(self) -> int:
        """See `StageTask`."""
        last = self._read[-1].offset() if self._read else None
        return self._router.next_offset if last is None else last + 1

    @property
    def waiting(self) -> int:
        """See `StageTask`."""
        return len(self._read)

    @property
    def states(self) -> list[FeatureState]:
        """See `StageTask`: it keeps no windows."""
        return []

    def feed(self, messages: Sequence[Message]) -> None:
        """See `StageTask`."""
        next_offset = self.next_offset
        for message in messages:
            offset = message.offset() or 0
            if message.error() is not None:
                self._end, self._word_at = offset, 0.0
            elif offset >= next_offset:  # a seek still under way can deliver what was read before
                self._read.append(message)
                self._end = None

    def take(self, limit: int) -> Step | None:
        """See `StageTask`; at the partition's end, word of it is given from time to time."""
        now = self._clock()
        at_end = self._end is not None and now >= self._word_at
        if now < self._held_until or not (self._read or at_end):
            return None
        messages = self._read[:limit]
        end = self._end if len(messages) == len(self._read) else None
        step = None
        while messages or end is not None:
            try:
                step = self._router.route(messages, end)
                break
            except TryAgainLaterError as error:
                self._held_until = now + _HOLD_S
                messages, end = messages[: error.position], None
        del self._read[: len(messages)]
        self._last = messages
        self._word_at = now + MARK_EVERY_MS / 1_000
        return step

    def rest(self) -> Step | None:
        """See `StageTask`."""
        if self._read:
            return None
        self._last = []
        return self._router.rest()

    def commit(self) -> None:
        """See `StageTask`."""
        self._last = []

    def rollback(self) -> None:
        """See `StageTask`."""
        self._router.rollback()
        self._read[:0], self._last = self._last, []
        self._word_at = 0.0
