"""The task of a partition of events or labels: its records go to where their entities are.

Where repeats are left out, a router of events remembers ids: then it is a stateful stage, whose
state is restored from its snapshot and from what was routed after it.
"""

from collections.abc import Callable, Sequence
from time import monotonic

from confluent_kafka import Message

from streams.events.json_decoder import TryAgainLaterError
from streams.features.dump_format import Buffer
from streams.features.state import FeatureState
from streams.stages.common.stateful_stage import StatefulStage
from streams.stages.common.step import StagePosition, Step
from streams.stages.route.label_router import LabelRouter
from streams.stages.route.router import EventRouter
from streams.stages.route.routing import MARK_EVERY_MS, offset_of

_HOLD_S = 0.25
_AT_ONCE = 10_000


class RouteTask:
    """A partition of events or labels; with a memory it is a `StatefulStage` of its own.

    Attributes:
        is_event: whether its source is of events.
        settled: what was committed last.
    """

    stage: str | None = "route"
    oldest = None

    def __init__(
        self, router: EventRouter | LabelRouter, clock: Callable[[], float] = monotonic
    ) -> None:
        self._router = router
        self.is_event = isinstance(router, EventRouter)
        self._memory = router.memory if isinstance(router, EventRouter) else None
        self._clock = clock
        self.begin(None)

    def begin(
        self, position: StagePosition | None, dumped: Sequence[memoryview] | None = None
    ) -> None:
        """See `StageTask` and `StatefulStage`."""
        if isinstance(self._router, EventRouter):
            self._router.begin(position, dumped)
        else:
            self._router.begin(position)
        self.settled = self._taking = position
        self._read: list[Message] = []
        self._last: list[Message] = []
        self._end: int | None = None
        self._held_until = self._word_at = 0.0
        self._held = False

    @property
    def stateful(self) -> StatefulStage | None:
        """See `StageTask`."""
        return self if self._memory is not None else None

    @property
    def ready(self) -> bool:
        """See `StageTask`."""
        return self._memory is None or self._memory.complete

    @property
    def nbytes(self) -> int:
        """See `StageTask`."""
        return self._memory.nbytes if self._memory is not None else 0

    @property
    def memory_ms(self) -> int:
        """See `StatefulStage`."""
        return self._memory.within_ms if self._memory is not None else 0

    @property
    def restored(self) -> int:
        """See `StatefulStage`."""
        return self._memory.restored if self._memory is not None else 0

    @property
    def began_at(self) -> int | None:
        """See `StatefulStage`."""
        return self._memory.began_at if self._memory is not None else None

    @property
    def reached(self) -> int:
        """See `StatefulStage`."""
        return self._router.reached

    def dump(self) -> list[Buffer]:
        """See `StatefulStage`."""
        assert self._memory is not None, "nothing is remembered"
        assert self.ready, "what is remembered is not complete"
        return self._memory.dump()

    @property
    def next_offset(self) -> int:
        """See `StageTask`."""
        if self._read:
            return offset_of(self._read[-1]) + 1
        if self._memory is not None and not self._memory.complete:
            return self._memory.next_offset
        return self._router.next_offset

    @property
    def waiting(self) -> int:
        """See `StageTask`."""
        return len(self._read)

    def most_queued(self, is_event: bool) -> int:
        """See `StageTask`: what it has to route waits for nothing else."""
        return 0

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
        self._remember()

    def hold(self, oldest: int | None) -> None:
        """Route nothing for now if that lies behind this merge time; None: go on.

        Until then, word is given from time to time, so that nobody takes the source for silent.
        """
        held = oldest is not None and self._router.reached > oldest
        if held and not self._held:
            self._word_at = 0.0
        self._held = held

    def take(self, limit: int) -> Step | None:
        """See `StageTask`; at the partition's end, word of it is given from time to time."""
        self._remember()
        if not self.ready:
            return None
        now = self._clock()
        if self._held and self._read:
            return self._word(now)
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
        self._taking = step.position if step is not None else self.settled
        self._word_at = now + MARK_EVERY_MS / 1_000
        return step

    def _word(self, now: float) -> Step | None:
        if now < self._word_at:
            return None
        self._router.tell_all_again()
        step = self._router.route([])
        self._last = []
        self._taking = step.position if step is not None else self.settled
        self._word_at = now + MARK_EVERY_MS / 1_000
        return step

    def rest(self) -> Step | None:
        """See `StageTask`."""
        if self._read:
            return None
        self._last = []
        step = self._router.rest() if self.ready else None
        self._taking = step.position if step is not None else self.settled
        return step

    def commit(self) -> None:
        """See `StageTask`."""
        self._last = []
        self._router.commit()
        self.settled = self._taking

    def rollback(self) -> None:
        """See `StageTask`."""
        self._router.rollback()
        self._read[:0], self._last = self._last, []
        self._word_at = 0.0

    def _remember(self) -> None:
        """Take what was routed before into the memory, as far as it has been read."""
        memory, router = self._memory, self._router
        if memory is None or not isinstance(router, EventRouter):
            return
        while not memory.complete and self._read and self._clock() >= self._held_until:
            offsets = map(offset_of, self._read[:_AT_ONCE])
            messages = self._read[: sum(offset < memory.routed_to for offset in offsets)]
            if not messages:
                memory.complete_now()
                return
            try:
                router.remember(messages)
            except TryAgainLaterError as error:
                self._held_until = self._clock() + _HOLD_S
                messages = messages[: error.position]
                if messages:
                    router.remember(messages)
            del self._read[: len(messages)]
        if self._end is not None and not self._read:
            memory.complete_now()
