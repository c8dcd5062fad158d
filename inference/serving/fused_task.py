"""The scorer of the fused topology: windows of all entities beside the model."""

from collections.abc import Callable, Sequence
from time import perf_counter

from inference.serving.answerer import Answerer
from inference.serving.metrics import ScorerMetrics
from streams.features.dump_format import CorruptStateError
from streams.features.dump_format import DumpMismatchError as WrongState
from streams.features.erasures import Erasures
from streams.features.plan import FeaturePlan
from streams.features.repeat_filter import RepeatFilter, refuse_ids
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.intake.input_batch import InputBatch
from streams.loop.fused.task import Answers, StateMismatchError
from streams.transactions.outcome import Committed


class Scorer:
    """A `streams.loop.fused.task.Task`: feature windows, and what answers by them.

    Args:
        answerer: answers feature vectors in the order of `plan.names`.
        repeats: what the intakes tell repeats by, whose ids are part of the state; None if they
            tell none.
        erasures: see `FeatureState`.
    """

    def __init__(
        self,
        plan: FeaturePlan,
        windows: WindowSettings,
        *,
        answerer: Answerer,
        metrics: ScorerMetrics,
        repeats: RepeatFilter | None = None,
        erasures: Erasures | None = None,
    ) -> None:
        self._plan = plan
        self._windows = windows
        self._new_state: Callable[[], FeatureState] = lambda: FeatureState(
            plan, windows, erasures=erasures
        )
        self._erasures = erasures
        self._state = self._new_state()
        self._answerer = answerer
        self._metrics = metrics
        self._repeats = repeats

    def warm_up(self) -> None:
        """Make ready what is slow the first time: kernels compile for seconds on a new machine."""
        self._new_state().warm_up()
        if self._repeats is not None:
            self._repeats.warm_up()

    @property
    def memory_ms(self) -> int:
        """How far back the windows look, lateness included, and repeats are told."""
        windows = self._plan.history_ms + self._windows.allowed_lateness
        return windows if self._repeats is None else max(windows, self._repeats.within_ms)

    def reset(self) -> None:
        """Forget all windows and ids, and what was let through: others may have been at work."""
        self._answerer.forget()
        self._state = self._new_state()
        if self._repeats is not None:
            self._repeats.reset()

    def savepoint(self) -> None:
        """Remember the windows as they are now."""
        self._state.savepoint()
        if self._repeats is not None:
            self._repeats.savepoint()

    def commit(self) -> None:
        """Forget the oldest mark."""
        self._state.commit()
        if self._repeats is not None:
            self._metrics.forgotten_ids.inc(self._repeats.commit())

    def rollback(self) -> None:
        """Go back to the oldest mark; the ids follow when the intake is told where it goes on."""
        self._state.rollback()
        if self._repeats is not None:
            self._repeats.rollback()

    def dump(self) -> Sequence[bytes | memoryview]:
        """The ids, if repeats are told, and the windows, as bytes."""
        windows = self._state.dump()
        return windows if self._repeats is None else [*self._repeats.dump(), *windows]

    def load(self, buffers: Sequence[bytes | memoryview]) -> None:
        """Replace ids and windows by what was dumped; nothing is left of either after an error."""
        try:
            if self._repeats is None:
                refuse_ids(buffers)
            else:
                buffers = self._repeats.load(buffers)
            self._state = FeatureState.load(self._plan, self._windows, buffers, self._erasures)
        except (WrongState, CorruptStateError) as error:
            self.reset()
            raise StateMismatchError(str(error)) from error

    def check(self) -> None:
        """Answer something known."""
        self._answerer.check()

    def restore(self, work: InputBatch) -> None:
        """Take answered events into the windows."""
        self._state.update(work.events, work.labels)
        if self._repeats is not None:
            self._repeats.settle_taken()
        self._metrics.restored.inc(len(work.events))

    def process(self, work: InputBatch) -> Answers:
        """Take a batch into the windows, and answer it."""
        start = perf_counter()
        rows = self._state.update(work.events, work.labels)
        answers = self._answerer.answer(work, rows, perf_counter() - start)

        def when_visible(committed: Committed) -> None:
            answers.when_visible(committed)
            self._metrics.count_transaction(committed)
            self._metrics.observe_state([self._state])

        return Answers(answers.outgoing, when_visible)

    def aborted(self, reason: str) -> None:
        """Count it."""
        self._metrics.transactions.labels("aborted").inc()
