"""What a stage with windows writes down of itself for a snapshot, and takes up again."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from streams.features.dump_format import Buffer, CorruptStateError
from streams.features.dump_format import DumpMismatchError as WrongState
from streams.features.erasures import Erasures
from streams.features.plan import FeaturePlan
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.loop.fused.task import StateMismatchError
from streams.stages.common.consumed_rows import QueueKey, number_of, queue_of
from streams.stages.common.messages import SourceProgress
from streams.stages.common.step import StagePosition

_LAYOUT = 1


class StatefulStage(Protocol):
    """A stage whose state is a function of one partition's log and of what was committed for it."""

    @property
    def restored(self) -> int:
        """Rows that were taken into the state again since `begin`."""

    @property
    def began_at(self) -> int | None:
        """Event time (ms) that the first record read since `begin` has reached; None before."""

    @property
    def memory_ms(self) -> int:
        """How far back in event time a row can matter to the features of a later one."""

    @property
    def reached(self) -> int:
        """The event time (ms) that was reached by what was read; `NO_TIME` before the first."""

    @property
    def next_offset(self) -> int:
        """Where reading goes on."""

    @property
    def settled(self) -> StagePosition | None:
        """What was committed last."""

    def begin(
        self, position: StagePosition | None, dumped: Sequence[memoryview] | None = None
    ) -> None:
        """Forget everything; the log is to be fed from `next_offset`.

        Args:
            position: what is committed; None for nothing yet.
            dumped: what `dump` gave at this position or an earlier one; None to read all the log.

        Raises:
            MessageError: the position is not of this stage.
            StateMismatchError: what was dumped is not of this stage, or of a later position; the
                stage has to begin without it.
        """

    def dump(self) -> list[Buffer]:
        """The windows as they are at `settled`, when all that was taken is committed."""


class _Header(msgspec.Struct):
    """The first buffer of a dump.

    Attributes:
        stage: the digest of what it computes, and the partition or entity.
        sources: numbers of all queues.
        offset, metadata: the position that the windows belong to.
        marks: the last word of each source partition before `offset`, by the queue's number.
    """

    layout: int
    stage: list[str]
    sources: list[int]
    offset: int
    metadata: str
    marks: dict[int, SourceProgress]


class Dumped(NamedTuple):
    """A stage as it was written down."""

    position: StagePosition
    marks: dict[QueueKey, SourceProgress]
    windows: FeatureState


class StageDump:
    """Makes the windows of one stage, and writes and reads their dumps.

    Args:
        stage: names what it computes: dumps of others are refused.
        sources: its source partitions.
        plan, windows, erasures: its windows.
    """

    def __init__(
        self,
        stage: Sequence[str],
        sources: Sequence[QueueKey],
        plan: FeaturePlan,
        windows: WindowSettings,
        erasures: Erasures | None = None,
    ) -> None:
        self._stage = list(stage)
        self._sources = sorted(map(number_of, sources))
        self._plan = plan
        self._windows = windows
        self._erasures = erasures

    def new_windows(self) -> FeatureState:
        """Windows of nothing yet."""
        return FeatureState(self._plan, self._windows, erasures=self._erasures)

    def write(
        self, position: StagePosition, marks: Mapping[QueueKey, SourceProgress], state: FeatureState
    ) -> list[Buffer]:
        """Buffers of the windows; as those of `FeatureState.dump`, they hold for this moment."""
        numbered = {number_of(key): progress for key, progress in marks.items()}
        header = _Header(_LAYOUT, self._stage, self._sources, *position, numbered)
        return [msgspec.msgpack.encode(header), *state.dump()]

    def read(self, buffers: Sequence[memoryview]) -> Dumped:
        """Take up what was written.

        Raises:
            StateMismatchError: it is another stage's, or damaged.
        """
        try:
            header = msgspec.msgpack.decode(buffers[0], type=_Header)
        except (IndexError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StateMismatchError(f"it has no header of a stage: {error}") from error
        # Sources may have got partitions since.
        known = set(header.sources) <= set(self._sources)
        if (header.layout, header.stage) != (_LAYOUT, self._stage) or not known:
            raise StateMismatchError("it is of other features, another version, or other sources")
        try:
            windows = FeatureState.load(self._plan, self._windows, buffers[1:], self._erasures)
        except (WrongState, CorruptStateError) as error:
            raise StateMismatchError(str(error)) from error
        marks = {queue_of(number): progress for number, progress in header.marks.items()}
        return Dumped(StagePosition(header.offset, header.metadata), marks, windows)
